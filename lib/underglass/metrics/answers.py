"""Answers to questions, which may be right in other words: exact match, and F1 over their words.

References: Rajpurkar et al. (2016), "SQuAD: 100,000+ Questions for Machine Comprehension of
Text", section 6.1; Rajpurkar et al. (2018), "Know What You Don't Know: Unanswerable Questions for
SQuAD", section 5 (the empty answer). Chapter: chapters/12_tasks.ipynb
"""

import re
import string
from collections import Counter
from collections.abc import Sequence


def normalize_answer(text: str) -> str:
    """Lower case, without ASCII punctuation and the English articles, one space between words."""
    text = text.lower().translate(str.maketrans("", "", string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def exact_match(prediction: str, references: Sequence[str]) -> float:
    """1 if the answer is one of the references, both normalized; else 0.

    Args:
        prediction: the answer to one question; "" says that there is none.
        references: the right answers, each of which will do; [""] where there is none.

    Raises:
        ValueError: if there are no references.
        TypeError: if `references` is a string.
    """
    _check(references)
    return float(normalize_answer(prediction) in map(normalize_answer, references))


def span_f1(prediction: str, references: Sequence[str]) -> float:
    """2 common / (words of the answer + words of the reference), for the best of the references.

    Words are those of `normalize_answer`, each counted as often as both have it. Two answers
    without words agree (1); one without any and one with some do not (0). Arguments and errors are
    those of `exact_match`.
    """
    _check(references)
    return max(_word_f1(prediction, reference) for reference in references)


def _word_f1(prediction: str, reference: str) -> float:
    mine, theirs = (normalize_answer(text).split() for text in (prediction, reference))
    if not mine or not theirs:
        return float(mine == theirs)
    return 2 * (Counter(mine) & Counter(theirs)).total() / (len(mine) + len(theirs))


def _check(references: Sequence[str]) -> None:
    if isinstance(references, str):
        raise TypeError(f"references={references!r} is a string: expected a list of strings")
    if not references:
        raise ValueError('references is empty: expected at least one, [""] for no answer')
