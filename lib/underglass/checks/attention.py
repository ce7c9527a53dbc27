"""Checks of chapter 04's exercises."""

import torch
from torch import Tensor

from underglass.attention import scaled_dot_product_attention
from underglass.checks.core import Attempt, compare, exercise, require


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@exercise
def cache_bytes(attempt: Attempt) -> str:
    """How many bytes the cached keys and values take: (layers, kv heads, d_head, tokens, bytes)."""
    right = 2 * 3 * 5 * 7 * 11 * 4
    compare(
        attempt(3, 5, 7, 11, 4),
        right,
        mistakes={
            "keys and values are both kept: there is a factor 2 missing": right // 2,
            "the cache keeps vectors, not weights: it grows with n, not with n squared": right * 11,
            "every layer keeps its own keys and values": right // 3,
            "these are numbers, not yet bytes": right // 4,
        },
        what="bytes",
    )
    return "two vectors for each token, key head and layer; nothing is squared."


@exercise
def masked(attempt: Attempt) -> str:
    """softmax(Q K^T / sqrt(d)) V with a mask: (query, key, value, mask) -> (output, weights)."""
    q, k, v = _random(2, 4), _random(3, 4, seed=1), _random(3, 5, seed=2)
    mask = torch.tensor([[True, True, False], [True, False, True]])
    output, weights = scaled_dot_product_attention(q, k, v, mask)
    scores = q @ k.mT
    late = (scores / 2).softmax(-1) * mask
    compare(
        attempt(q, k, v, mask),
        (output, weights),
        mistakes={
            "the scores are not divided by the root of d": (
                ...,
                scores.masked_fill(~mask, -torch.inf).softmax(-1),
            ),
            "the mask comes after the softmax, so the rows no longer sum to 1: mask the scores": (
                ...,
                late,
            ),
            "the mask is the wrong way round: True is where one may look": (
                ...,
                (scores / 2).masked_fill(mask, -torch.inf).softmax(-1),
            ),
            "a score of 0 is not a weight of 0: hidden scores become minus infinity": (
                ...,
                (scores / 2).masked_fill(~mask, 0.0).softmax(-1),
            ),
            "your columns sum to 1, not your rows: the softmax runs over the keys, dim=-1": (
                ...,
                (scores / 2).masked_fill(~mask, -torch.inf).softmax(-2),
            ),
        },
        what=("output", "weights"),
    )
    return "hidden keys get weight 0, and each row still sums to 1."


@exercise
def window_mask(attempt: Attempt) -> str:
    """Bool[size size]: each position sees itself and the `window - 1` before it."""
    size, window = 6, 3
    ones = torch.ones(size, size, dtype=torch.bool)
    right = ones.tril().triu(1 - window)
    got = attempt(size, window)
    require(
        not isinstance(got, Tensor) or got.dtype == torch.bool,
        "a mask is boolean, True where one may look: expected dtype bool",
    )
    compare(
        got,
        right,
        mistakes={
            "the window is one too wide: it counts the position itself": ones.tril().triu(-window),
            "the window is one too narrow: it counts the position itself": ones.tril().triu(
                2 - window
            ),
            "it can see the future": ones.triu(1 - window).tril(window - 1),
            "it looks ahead and not back: rows are the ones that look": right.mT,
            "it sees all of the past: the window is not used": ones.tril(),
        },
        what="mask",
    )
    compare(attempt(4, 9), ones[:4, :4].tril(), what="mask with a window wider than the text")
    return "each row has at most `window` places, the last of them its own."


@exercise
def previous_token(attempt: Attempt) -> str:
    """[head q k] -> [head]: the mean weight that a token gives to the one before it."""
    weights = _random(2, 5, 5).softmax(-1)
    right = weights.diagonal(-1, dim1=-2, dim2=-1).mean(-1)
    compare(
        attempt(weights),
        right,
        mistakes={
            "this is the weight on the token after: the row looks, the column is looked at": (
                weights.diagonal(1, dim1=-2, dim2=-1).mean(-1)
            ),
            "this is the weight of a token on itself": weights.diagonal(dim1=-2, dim2=-1).mean(-1),
            "the first token has nobody before it: divide by n - 1": right * 4 / 5,
            "this is a sum over the tokens: take their mean": right * 4,
            "the heads are mixed: one number for each head is wanted": right.mean(),
        },
        what="score of each head",
    )
    return "one number for each head, the mean of the diagonal under the main one."


@exercise
def relation(attempt: Attempt) -> str:
    """(weights [layer head q k], tokens) -> [layer head]: a measure of the reader's own."""
    tokens = ["[CLS]", "the", "cat", "saw", "the", "other", "cat", ".", "[SEP]"]
    weights = _random(2, 3, len(tokens), len(tokens)).softmax(-1)
    got = attempt(weights, tokens)
    require(
        isinstance(got, Tensor) and got.shape == (2, 3),
        "expected one number for each layer and head, a tensor of shape (2, 3)",
    )
    require(got.isfinite().all(), "some numbers are not finite: did you divide by 0?")
    require(
        ((got >= 0) & (got <= 1)).all(),
        "a mean weight lies between 0 and 1: divide by how many tokens you looked at",
    )
    other = attempt(weights.flip(0), tokens)
    require(not torch.equal(got, other), "other weights give the same numbers: are they used?")
    return "a number from 0 to 1 for each head. Is it a finding? That depends on your baseline."
