"""BLEU: how many of a translation's word groups a human's translation has too.

References: Papineni et al. (2002), "BLEU: a Method for Automatic Evaluation of Machine
Translation", section 2; Post (2018), "A Call for Clarity in Reporting BLEU Scores" (one
tokenizer, named with the score); Chen and Cherry (2014), "A Systematic Comparison of Smoothing
Techniques for Sentence-Level BLEU", section 3, method 3. Chapter: chapters/12_tasks.ipynb
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from underglass.metrics.ngrams import ngrams

SMOOTHINGS = ("none", "exp")


class BLEU(NamedTuple):
    """The score, from 0 to 1 (papers print it times 100), and what it is made of.

    Attributes:
        precisions: for n = 1 to 4, the share of the predictions' n-grams that a reference has.
        brevity_penalty: below 1 where the predictions are shorter than the references.
    """

    score: float
    precisions: tuple[float, ...]
    brevity_penalty: float


class _Counts(NamedTuple):
    """Of one sentence or many: n-grams found in a reference and all, for each n; and lengths."""

    matches: list[int]
    totals: list[int]
    length: int
    reference_length: int


def tokenize_13a(text: str) -> list[str]:
    """Words and punctuation marks apart, as WMT's mteval-v13a, the usual tokenizer of BLEU.

    Made for Western languages. Marks outside ASCII stay where they are, and `1,000.5` is one token.
    """
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, mark in (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")):
        text = text.replace(entity, mark)
    text = f" {text} "
    text = re.sub(r"([ -&(-+/:-@\[-`{-~])", r" \1 ", text)  # ASCII marks, but ' - , and .
    text = re.sub(r"([^0-9])([.,])", r"\1 \2 ", text)  # . and , unless between digits
    text = re.sub(r"([.,])([^0-9])", r" \1 \2", text)
    text = re.sub(r"([0-9])(-)", r"\1 \2 ", text)
    return text.split()


def bleu(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    tokenize: Callable[[str], list[str]] = tokenize_13a,
    smoothing: str = "exp",
    max_n: int = 4,
) -> BLEU:
    """BP exp(mean over n of log p_n), p_n = matches / n-grams, BP = exp(min(0, 1 - r/c)).

    An n-gram counts as a match at most as often as some one reference has it: "the the the" cannot
    win. All counts are added up over the texts before anything is divided: a score of a whole test
    set, and not the mean of its sentences' scores. c is the length of all predictions; r adds up
    the lengths of the references that are nearest to theirs (the shorter one of two as near).

    Args:
        predictions: the translations.
        references: for each of them, one or more translations by people.
        tokenize: `str.split` for texts that are tokens and spaces already.
        smoothing: what p_n becomes where there are n-grams but no match, so that log p_n is not
            -inf. "none": stays 0, and the score is 0. "exp": 1/2 of a match for the first such n,
            1/4 for the second ..., which short texts need.
        max_n: the longest n-grams that count.

    Returns:
        A score of 0 where no word matches, or no prediction has `max_n` tokens.

    Raises:
        ValueError: if there is nothing to score, a prediction has no reference, or an option is
            unknown.
        TypeError: if a string stands where a list of strings is expected.
    """
    _check(predictions, references, smoothing, max_n)
    sentences = [
        _counts(tokenize(prediction), [tokenize(text) for text in texts], max_n)
        for prediction, texts in zip(predictions, references, strict=True)
    ]
    counts = _add_up(sentences)
    penalty = _brevity_penalty(counts.length, counts.reference_length)
    precisions = _precisions(counts, smoothing)
    if not all(precisions):
        return BLEU(0.0, precisions, penalty)
    return BLEU(penalty * math.exp(sum(map(math.log, precisions)) / max_n), precisions, penalty)


def _counts(prediction: list[str], references: list[list[str]], max_n: int) -> _Counts:
    matches, totals = [], []
    for n in range(1, max_n + 1):
        mine = ngrams(prediction, n)
        theirs: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            theirs |= ngrams(reference, n)  # the larger count of the two
        matches.append((mine & theirs).total())  # the smaller
        totals.append(mine.total())
    lengths = [len(reference) for reference in references]
    nearest = min(lengths, key=lambda length: (abs(length - len(prediction)), length))
    return _Counts(matches, totals, len(prediction), nearest)


def _add_up(sentences: list[_Counts]) -> _Counts:
    matches, totals, lengths, reference_lengths = zip(*sentences, strict=True)
    return _Counts(
        [sum(column) for column in zip(*matches, strict=True)],
        [sum(column) for column in zip(*totals, strict=True)],
        sum(lengths),
        sum(reference_lengths),
    )


def _brevity_penalty(length: int, reference_length: int) -> float:
    if length >= reference_length:
        return 1.0
    return math.exp(1 - reference_length / length) if length else 0.0


def _precisions(counts: _Counts, smoothing: str) -> tuple[float, ...]:
    precisions, share = [], 1.0
    for matches, total in zip(counts.matches, counts.totals, strict=True):
        if not matches and any(counts.matches) and smoothing == "exp":
            share /= 2
            precisions.append(share / total if total else 0.0)
        else:
            precisions.append(matches / total if total else 0.0)
    return tuple(precisions)


def _check(
    predictions: Sequence[str], references: Sequence[Sequence[str]], smoothing: str, max_n: int
) -> None:
    if len(predictions) != len(references) or not predictions:
        raise ValueError(
            f"predictions has {len(predictions)} texts, references {len(references)}: "
            "expected as many, at least 1"
        )
    if isinstance(predictions, str):
        raise TypeError(f"predictions={predictions!r} is a string: expected a list of strings")
    for index, texts in enumerate(references):
        if isinstance(texts, str):
            raise TypeError(f"references[{index}] is a string: expected a list of strings")
        if not texts:
            raise ValueError(f"references[{index}] is empty: expected at least one text")
    if smoothing not in SMOOTHINGS:
        raise ValueError(f"smoothing={smoothing!r}: expected one of {', '.join(SMOOTHINGS)}")
    if max_n < 1:
        raise ValueError(f"max_n={max_n}: expected at least 1")
