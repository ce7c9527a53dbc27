"""ROUGE: how much of a person's summary a model's summary has too.

Reference: Lin (2004), "ROUGE: A Package for Automatic Evaluation of Summaries", sections 2
(ROUGE-N) and 3.1 (ROUGE-L). Chapter: chapters/12_tasks.ipynb
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from underglass.metrics.ngrams import ngrams


class ROUGE(NamedTuple):
    """From 0 to 1: of the prediction's words, of the reference's, and both in one (F1).

    The paper's ROUGE-N is the recall; today most papers report the F1.
    """

    precision: float
    recall: float
    f1: float


def tokenize_words(text: str) -> list[str]:
    """The runs of a to z and 0 to 9, in lower case: ROUGE's tokens. All else, é too, separates."""
    return re.findall("[a-z0-9]+", text.lower())


def rouge_n(
    prediction: str,
    reference: str,
    n: int,
    *,
    tokenize: Callable[[str], list[str]] = tokenize_words,
) -> ROUGE:
    """The n-grams that both have (each as often as both have it), as a share of all of either.

    Args:
        prediction: a model's summary.
        reference: a person's.
        n: tokens in an n-gram: usually 1 or 2.
        tokenize: for texts that are not English, one of their own.

    Returns:
        Zeros where one of the two has no n-gram.

    Raises:
        ValueError: if n is below 1.
    """
    if n < 1:
        raise ValueError(f"n={n}: expected at least 1")
    mine, theirs = ngrams(tokenize(prediction), n), ngrams(tokenize(reference), n)
    return _shares((mine & theirs).total(), mine.total(), theirs.total())


def rouge_l(
    prediction: str, reference: str, *, tokenize: Callable[[str], list[str]] = tokenize_words
) -> ROUGE:
    """The longest common subsequence: words that both have in the same order, gaps allowed.

    Each text is one sequence, as `rougeL` of rouge-score; the paper's union over sentences (its
    section 3.2, `rougeLsum`) is not here. Arguments as in `rouge_n`; zeros where one has no token.
    """
    mine, theirs = tokenize(prediction), tokenize(reference)
    return _shares(longest_common_subsequence(mine, theirs), len(mine), len(theirs))


def longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Its length: L[i, j] = L[i-1, j-1] + 1 where tokens agree, else max(L[i-1, j], L[i, j-1])."""
    above = [0] * (len(second) + 1)  # only the row of i - 1 is needed for that of i
    for token in first:
        row = [0]
        for j, other in enumerate(second):
            row.append(above[j] + 1 if token == other else max(above[j + 1], row[j]))
        above = row
    return above[-1]


def _shares(common: int, mine: int, theirs: int) -> ROUGE:
    if not common:
        return ROUGE(0.0, 0.0, 0.0)
    return ROUGE(common / mine, common / theirs, 2 * common / (mine + theirs))
