"""Each exercise of chapter 04: the stub, a solution, and typical mistakes by name."""

import torch
from exercise_kit import assert_exercise
from underglass import checks
from underglass.attention import scaled_dot_product_attention


def test_cache_bytes():
    def solution(layers, heads, d_head, tokens, size):
        return 2 * layers * heads * d_head * tokens * size

    assert_exercise(
        checks.attention.cache_bytes,
        stub=lambda layers, heads, d_head, tokens, size: ...,
        solution=solution,
        mistakes={
            "keys only": (lambda *sizes: solution(*sizes) // 2, "factor 2"),
            "squared": (lambda *s: solution(*s) * s[3], "not with n squared"),
            "one layer": (lambda *s: solution(*s) // s[0], "every layer"),
            "numbers": (lambda *s: solution(*s) // s[4], "not yet bytes"),
        },
    )


def _attention(query, key, value, mask, *, scale=0.5, fill=-torch.inf, dim=-1):
    scores = (query @ key.mT * scale).masked_fill(~mask, fill)
    weights = scores.softmax(dim)
    return weights @ value, weights


def _late(query, key, value, mask):
    weights = (query @ key.mT / 2).softmax(-1) * mask
    return weights @ value, weights


def test_masked():
    assert_exercise(
        checks.attention.masked,
        stub=lambda query, key, value, mask: ...,
        solution=scaled_dot_product_attention,
        mistakes={
            "unscaled": (lambda *a: _attention(*a, scale=1.0), "root of d"),
            "late": (_late, "after the softmax"),
            "inverted": (lambda q, k, v, m: _attention(q, k, v, ~m), "wrong way round"),
            "zero": (lambda *a: _attention(*a, fill=0.0), "minus infinity"),
            "columns": (lambda *a: _attention(*a, dim=-2), "columns sum to 1"),
            "weights only": (lambda *a: _attention(*a)[1], "expected 2 results"),
        },
    )


def _band(size, back, ahead=0):
    return torch.ones(size, size, dtype=torch.bool).tril(ahead).triu(-back)


def test_window_mask():
    assert_exercise(
        checks.attention.window_mask,
        stub=lambda size, window: ...,
        solution=lambda size, window: _band(size, window - 1),
        mistakes={
            "one too wide": (lambda n, w: _band(n, w), "one too wide"),
            "one too narrow": (lambda n, w: _band(n, w - 2), "one too narrow"),
            "both sides": (lambda n, w: _band(n, w - 1, w - 1), "see the future"),
            "transposed": (lambda n, w: _band(n, w - 1).mT, "looks ahead"),
            "causal only": (lambda n, w: _band(n, n), "window is not used"),
            "numbers": (lambda n, w: _band(n, w - 1).int(), "is boolean"),
        },
    )


def test_previous_token():
    def diagonal(weights, offset=-1):
        return weights.diagonal(offset, dim1=-2, dim2=-1)

    assert_exercise(
        checks.attention.previous_token,
        stub=lambda weights: ...,
        solution=lambda weights: diagonal(weights).mean(-1),
        mistakes={
            "next": (lambda w: diagonal(w, 1).mean(-1), "token after"),
            "itself": (lambda w: diagonal(w, 0).mean(-1), "on itself"),
            "by n": (lambda w: diagonal(w).sum(-1) / w.shape[-1], "n - 1"),
            "sum": (lambda w: diagonal(w).sum(-1), "a sum"),
            "mixed": (lambda w: diagonal(w).mean(), "one number for each head"),
        },
    )


def test_relation():
    def on_first(weights, tokens):
        return weights[..., 0].mean(-1)

    assert_exercise(
        checks.attention.relation,
        stub=lambda weights, tokens: ...,
        solution=on_first,
        mistakes={
            "one number": (lambda w, t: on_first(w, t).mean(), "each layer and head"),
            "sum": (lambda w, t: w[..., 0].sum(-1) + 1, "between 0 and 1"),
            "nothing found": (lambda w, t: on_first(w, t) / 0 - on_first(w, t) / 0, "divide by 0"),
            "weights unused": (lambda w, t: torch.full(w.shape[:2], 0.5), "are they used"),
        },
    )
