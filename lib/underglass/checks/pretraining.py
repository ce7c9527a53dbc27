"""Checks of chapter 08's exercises."""

import math

import torch

from underglass.checks.core import Attempt, compare, exercise, require
from underglass.losses.language import IGNORE

FEWEST = 4  # pairs of a probe


@exercise
def bits_per_byte(attempt: Attempt) -> str:
    """(nats a token, tokens, bytes) -> bits per byte."""
    nats, tokens, size = 3.0, 500, 2000
    compare(
        attempt(nats, tokens, size),
        nats * tokens / math.log(2) / size,
        mistakes={
            "these are nats per byte: a bit is log 2 nats": nats * tokens / size,
            "there are more bits than nats: divide by log 2, do not multiply": (
                nats * tokens * math.log(2) / size
            ),
            "these are bits per token: all bits together, over all bytes": nats / math.log(2),
            "these are all bits: divide by the bytes": nats * tokens / math.log(2),
            "bytes over tokens is upside down": nats * size / math.log(2) / tokens,
        },
        what="bits per byte",
    )
    return "all surprise, in bits, over all bytes; how the tokens are cut no longer counts."


@exercise
def held_back(attempt: Attempt) -> str:
    """(years of the messages, every) -> numbers of the messages of every such year."""
    years = [1790, 1790, 1791, 1792, 1792, 1793, 1795, 1795, 1796]
    compare(
        attempt(years, 3),
        [3, 4, 8],
        mistakes={
            "these are messages counted, not years: a year with two is torn apart": [2, 5, 8],
            "one message of each year only: its twin stays in training": (
                lambda got: set(got) < {3, 4, 8}
            ),
            "these are years; return the numbers of the messages": [1792, 1796],
            "count from the first year: with every = 3 the third is held back, not the first": (
                [0, 1, 5]
            ),
            "the years that are divisible are others: count the years that there are": (
                [i for i, year in enumerate(years) if year % 3 == 0]
            ),
        },
        what="numbers of the messages",
    )
    return "whole years, with all that was said in them."


@exercise
def packed(attempt: Attempt) -> str:
    """(texts, end, seq) -> rows of seq + 1 ids, each text followed by its end."""
    texts = [[1, 2, 3], [4], [5, 6, 7, 8], [9, 10]]
    right = torch.tensor([[1, 2, 3, 0], [4, 0, 5, 6], [7, 8, 0, 9]])
    bare = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])
    compare(
        attempt(texts, 0, 3),
        right,
        mistakes={
            "where does a text end? Put `end` after each": bare,
            "the end stands before each text; it belongs after": torch.tensor(
                [[0, 1, 2, 3], [0, 4, 0, 5], [6, 7, 8, 0]]
            ),
            "rows of seq ids: one more is needed, for the last one's target": (
                lambda got: got.shape[1] == 3
            ),
            "this is one text a row": lambda got: len(got) == len(texts),
            "the last row is not full: leave it out": lambda got: len(got) > len(right),
        },
        what="rows",
    )
    return "no id is lost but the last few, and every text has its end."


@exercise
def hidden(attempt: Attempt) -> str:
    """(row, chosen, u, others, mask) -> (what is read, what is to be guessed)."""
    row, others = torch.tensor([5, 6, 7, 8, 9]), torch.tensor([1, 2, 3, 4, 5])
    chosen = torch.tensor([True, True, False, True, False])
    u = torch.tensor([0.5, 0.85, 0.1, 0.95, 0.86])
    read = torch.tensor([0, 2, 7, 8, 9])
    guess = torch.tensor([5, 6, IGNORE, 8, IGNORE])
    compare(
        attempt(row, chosen, u, others, 0),
        (read, guess),
        mistakes={
            "all chosen tokens become the mask: one in ten is another, one in ten stays": (
                torch.tensor([0, 0, 7, 0, 9]),
                ...,
            ),
            "tokens that were not chosen are changed, too": (torch.tensor([0, 2, 0, 8, 5]), ...),
            "a token that stays as it is, or became another, is guessed all the same": (
                ...,
                torch.tensor([5, IGNORE, IGNORE, IGNORE, IGNORE]),
            ),
            "only the chosen tokens are guessed: the others get -100": (..., row),
            "what is to be guessed is the true token, not what is read": (
                ...,
                torch.tensor([0, 2, IGNORE, 8, IGNORE]),
            ),
        },
        what=("what is read", "what is guessed"),
    )
    return "of the chosen ones most are hidden, some false, some true; and all are guessed."


@exercise
def foresee(attempt: Attempt) -> str:
    """(N1, L1, N2, L2, N3) -> (A, alpha, the law's loss at N3)."""
    factor, alpha = 12.0, 0.25
    sizes = [10_000, 160_000, 2_560_000]
    losses = [factor / n**alpha for n in sizes]
    straight = losses[1] + (losses[1] - losses[0]) / (sizes[1] - sizes[0]) * (sizes[2] - sizes[1])
    compare(
        attempt(sizes[0], losses[0], sizes[1], losses[1], sizes[2]),
        (factor, alpha, losses[2]),
        mistakes={
            "alpha has the wrong sign: a larger model has a smaller loss": (..., -alpha, ...),
            "alpha is log of the losses' ratio over log of the sizes' ratio, not the other way": (
                ...,
                1 / alpha,
                ...,
            ),
            "a straight line on plain axes falls below 0: take logarithms": (..., ..., straight),
            "A and alpha are right; the loss at the third size is A / N3 ** alpha": (
                lambda got: _close(got[0], factor) and _close(got[1], alpha)
            ),
            "alpha is right; A is a loss times its size to the power of alpha": (
                lambda got: _close(got[1], alpha)
            ),
        },
        what=("A", "alpha", "loss at the third size"),
    )
    return "a straight line on two logarithmic axes, drawn on."


def _close(got: float, expected: float) -> bool:
    return math.isclose(float(got), expected, rel_tol=1e-4)


@exercise
def minimal_pairs(attempt: Attempt) -> str:
    """A list of (right, wrong): sentences that differ in one word."""
    pairs = attempt.value
    require(isinstance(pairs, list | tuple), "a probe is a list of pairs (right, wrong)")
    require(len(pairs) >= FEWEST, f"{len(pairs)} pairs say nothing: write at least {FEWEST}")
    for pair in pairs:
        require(
            isinstance(pair, list | tuple)
            and len(pair) == 2
            and all(isinstance(text, str) for text in pair),
            f"{pair!r} is no pair of two sentences",
        )
        right, wrong = (text.split() for text in pair)
        require(
            len(right) == len(wrong),
            f"{pair[0]!r} and {pair[1]!r} have {len(right)} and {len(wrong)} words: a longer one "
            "is less likely for its length alone",
        )
        count = sum(a != b for a, b in zip(right, wrong, strict=True))
        require(count == 1, f"{pair[0]!r} and {pair[1]!r} differ in {count} words, not in one")
    require(len({tuple(pair) for pair in pairs}) == len(pairs), "a pair comes twice")
    return f"{len(pairs)} minimal pairs; now see which sentence of each the model prefers."
