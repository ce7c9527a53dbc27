"""Checks of chapter 10's exercises."""

import math

import torch
from torch import Tensor

from underglass.checks.core import Attempt, compare, exercise, require
from underglass.generation import leftover as _leftover


@exercise
def at_temperature(attempt: Attempt) -> str:
    """(probabilities [vocab], temperature) -> the probabilities at that temperature."""
    p = torch.tensor([0.5, 0.25, 0.25, 0.0], dtype=torch.float64)
    right = p**2 / (p**2).sum()
    compare(
        attempt(p, 0.5),
        right,
        mistakes={
            "the sum is not 1: divide by it at the end": p**2,
            "this is temperature 2: raise to the power of 1 / T, not T": p**0.5 / (p**0.5).sum(),
            "a softmax takes logarithms of probabilities, not the probabilities": (
                (p / 0.5).softmax(dim=-1)
            ),
            "dividing probabilities by T changes nothing once they sum to 1 again": p,
        },
        what="probabilities at temperature 0.5",
    )
    hot = attempt(p, 1000.0)
    require(float(hot[3]) == 0, "what has the probability 0 keeps it, at any temperature")
    return "a power of each probability, and the sum is 1 again."


@exercise
def nucleus(attempt: Attempt) -> str:
    """(probabilities [vocab], p) -> those of the nucleus, which sum to 1 again; the others 0."""
    given = torch.tensor([0.1, 0.375, 0.025, 0.25, 0.25])
    right = torch.tensor([0.0, 0.375, 0.0, 0.25, 0.25]) / 0.875
    compare(
        attempt(given, 0.75),
        right,
        mistakes={
            "the token with which the sum reaches p belongs to the nucleus": (
                torch.tensor([0.0, 0.375, 0.0, 0.25, 0.0]) / 0.625
            ),
            "the sum of what is left is not 1: divide by it": right * 0.875,
            "this cuts the tokens as they stand, not the likeliest ones: sort them first": (
                torch.tensor([0.1, 0.375, 0.025, 0.25, 0.0]) / 0.75
            ),
            "the probabilities have moved to other tokens: undo the sorting": (
                torch.tensor([0.375, 0.25, 0.25, 0.0, 0.0]) / 0.875
            ),
            "this keeps each token that has p by itself": lambda got: (got > 0).sum() == 0,
        },
        what="nucleus of p = 0.75",
    )
    one = attempt(torch.tensor([0.2, 0.8]), 0.5)
    require(
        isinstance(one, Tensor) and one.tolist() == [0, 1],
        "where the likeliest token has p by itself, it stays, and alone",
    )
    return "the fewest tokens that reach p, and among them as it was."


@exercise
def cache_bytes(attempt: Attempt) -> str:
    """(layers, heads of keys and values, d_head, tokens, bytes each) -> bytes of the cache."""
    compare(
        attempt(3, 5, 7, 11, 4),
        2 * 3 * 5 * 7 * 11 * 4,
        mistakes={
            "keys and values: two numbers where you count one": 3 * 5 * 7 * 11 * 4,
            "these are numbers, not yet bytes": 2 * 3 * 5 * 7 * 11,
            "each layer has a cache of its own": 2 * 5 * 7 * 11 * 4,
            "each head of keys and values has its own": 2 * 3 * 7 * 11 * 4,
            "the cache grows with the tokens, not with their square: no weights are kept": (
                2 * 3 * 5 * 7 * 11 * 11 * 4
            ),
        },
        what="bytes",
    )
    return "a key and a value, for each token, in each layer and head."


@exercise
def leftover(attempt: Attempt) -> str:
    """(target, draft: probabilities [vocab]) -> what is drawn from after a refusal."""
    p = torch.tensor([0.5, 0.3, 0.1, 0.1])
    q = torch.tensor([0.1, 0.4, 0.05, 0.45])
    right = _leftover(p, q)
    compare(
        attempt(p, q),
        right,
        mistakes={
            "this is the target itself: then what the draft likes comes too often": p,
            "the sum is not 1: divide by it": (p - q).clamp(min=0),
            "what the draft has too much of is negative: set it to 0": lambda got: (got < 0).any(),
            "the other way round: target minus draft": _leftover(q, p),
            "the sign counts: only what the draft has too little of is missing": (
                (p - q).abs() / (p - q).abs().sum()
            ),
        },
        what="what is left",
    )
    return "what the draft guesses too seldom, in just the shares that make up for it."


@exercise
def longest_match(attempt: Attempt) -> str:
    """(text, others: lists of words) -> the longest run of words of `text` that is in `others`."""
    text = ["we", "the", "people", "of", "the", "united", "states", "of", "america"]
    others = ["the", "people", "of", "the", "south", "and", *text[1:6], "nations", "of", "america"]
    run = ["the", "people", "of", "the", "united"]
    compare(
        attempt(text, others),
        run,
        mistakes={
            "this is a set of words that both have; a run is in order and without gaps": (
                lambda got: isinstance(got, set)
            ),
            "this is the first run of both, not the longest": ["the", "people", "of"],
            "there are gaps in it: a run is without": lambda got: len(got) > len(run),
            "this is the length: return the words": lambda got: got == len(run),
            "the last word of the run is missing: look where your slice ends": run[:-1],
        },
        what="longest run",
    )
    found = attempt(["a", "b"], ["c"])
    require(found == [], "where nothing is shared, return an empty list")
    return "the longest run, in order and without gaps."


@exercise
def own_rule(attempt: Attempt) -> str:
    """logits [vocab] -> logits: a rule of the reader's own; what it cuts gets -inf."""
    logits = torch.tensor([2.0, 1.5, 0.5, 0.0, -1.0, -4.0])
    turned = torch.tensor([5, 3, 1, 0, 4, 2])
    out = attempt(logits)
    require(
        isinstance(out, Tensor) and out.shape == logits.shape,
        "return logits, as many as came in",
    )
    require(not out.isnan().any(), "there is a NaN among the logits that you return")
    require((out > -math.inf).any(), "nothing is left to draw from: keep one token at least")
    p = out.softmax(dim=-1)
    require(
        bool((p[p > 0].diff() <= 1e-6).all()),  # to cut the likeliest is a rule, too
        "of two kept tokens, the less likely one is now the likelier: a cut keeps the order",
    )
    again, moved = attempt(logits).softmax(dim=-1), attempt(logits[turned]).softmax(dim=-1)
    require(
        torch.allclose(p, again), "the same logits give another result the second time: cut first"
    )
    require(
        torch.allclose(moved, p[turned], atol=1e-5),
        "the result depends on where a token stands in the vocabulary, not on its logit alone",
    )
    require(
        not torch.allclose(p, logits.softmax(dim=-1)),
        "these are the model's own probabilities: nothing was changed",
    )
    kept = int((out > -math.inf).sum())
    return f"of six trial tokens it keeps {kept}; now see what it does to texts."
