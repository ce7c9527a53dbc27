"""Checks of chapter 05's exercises."""

from typing import Any

import torch
from torch import Tensor, nn

from underglass.checks.core import Attempt, compare, exercise, require


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@exercise
def layer_norm(attempt: Attempt) -> str:
    """(x [seq d_model], gain, shift, eps) -> each row with mean 0 and variance 1, then scaled."""
    x = 3 * _random(4, 5) + 2
    gain, shift, eps = _random(5, seed=1), _random(5, seed=2), 0.5
    centered = x - x.mean(dim=-1, keepdim=True)
    variance = centered.square().mean(dim=-1, keepdim=True)
    unit = centered / (variance + eps).sqrt()
    down = (x - x.mean(dim=0)) / (x.var(dim=0, correction=0) + eps).sqrt()
    rms = x / (x.square().mean(dim=-1, keepdim=True) + eps).sqrt()
    sample = centered / (variance * 5 / 4 + eps).sqrt()
    compare(
        attempt(x, gain, shift, eps),
        gain * unit + shift,
        mistakes={
            "the mean is not taken away: that is RMSNorm": gain * rms + shift,
            "each column is normalized: a token's vector is a row, so dim=-1": gain * down + shift,
            "the variance is over n - 1: the norm divides by n (correction=0)": gain * sample
            + shift,
            "eps is outside the root: it is added to the variance": (
                gain * centered / (variance.sqrt() + eps) + shift
            ),
            "eps is not used": gain * centered / variance.sqrt() + shift,
            "the root is missing: divide by the standard deviation": (
                gain * centered / (variance + eps) + shift
            ),
            "gain and shift are not used": unit,
            "the shift is not added": gain * unit,
            "scale first, then shift: the shift is not scaled": gain * (unit + shift),
        },
    )
    return "every row is measured by itself; gain and shift are the only learned numbers."


@exercise
def block(attempt: Attempt) -> str:
    """(x, attention, feed_forward, norms) -> x after a block with its norms before."""
    x, turn, mix = _random(3, 4), _random(4, 4, seed=1), _random(4, 4, seed=2)

    def attention(x: Tensor) -> Tensor:
        return x.cumsum(dim=0) @ turn

    def feed_forward(x: Tensor) -> Tensor:
        return (x @ mix).relu()

    def norm(x: Tensor) -> Tensor:
        return x - x.mean(dim=-1, keepdim=True)

    def scale(x: Tensor) -> Tensor:
        return x / x.square().mean(dim=-1, keepdim=True).sqrt()

    y = x + attention(norm(x))
    once = norm(x) + attention(norm(x))
    after = norm(x + attention(x))
    compare(
        attempt(x, attention, feed_forward, (norm, scale)),
        y + feed_forward(scale(y)),
        mistakes={
            "the norms stand after the sums, as in 2017": scale(after + feed_forward(after)),
            "the norm stands in the stream: add to x, not to its norm": (
                scale(once) + feed_forward(scale(once))
            ),
            "the feed-forward net reads x as it was before attention added to it": (
                y + feed_forward(scale(x))
            ),
            "attention's output is lost: the feed-forward net adds to what attention left": (
                x + feed_forward(scale(y))
            ),
            "nothing is added to the stream at the end": feed_forward(scale(y)),
            "attention's output takes the place of x: add it": (
                attention(norm(x)) + feed_forward(scale(attention(norm(x))))
            ),
            "there are no norms": x + attention(x) + feed_forward(x + attention(x)),
            "both parts have the same norm: each has its own": y + feed_forward(norm(y)),
        },
    )
    return "two parts read the stream through a norm, and add to it; nothing else touches it."


@exercise
def parameters(attempt: Attempt) -> str:
    """(vocab_size, max_len, d_model, num_layers, d_ff) -> the parameters of a GPT."""
    vocab, length, d, layers, ff = 101, 31, 8, 3, 24
    attention, net, norm = 4 * (d * d + d), 2 * d * ff + ff + d, 2 * d
    tables, one = (vocab + length) * d, 4 * (d * d + d) + 2 * d * ff + ff + d + 4 * d
    right = tables + layers * one + norm
    compare(
        _whole(attempt(vocab, length, d, layers, ff)),
        right,
        mistakes={
            "the norm behind the last block is missing: it has a gain and a shift too": right
            - norm,
            "the table of tokens is counted twice: it also gives the scores of the next one": (
                right + vocab * d
            ),
            "the table of positions is missing": right - length * d,
            "the table of tokens is missing": right - vocab * d,
            "the biases are missing: every linear layer has one": (right - layers * (5 * d + ff)),
            "the norms are missing: two in each block, and one at the end": (
                right - layers * 2 * norm - norm
            ),
            "each block has two norms, not one": right - layers * norm,
            "only one block is counted": tables + one + norm,
            "attention has four matrices: the one behind the heads is missing": (
                right - layers * (d * d + d)
            ),
            "d_ff is given: it need not be 4 * d_model": (
                right + layers * (4 * d - ff) * (2 * d + 1)
            ),
            "a norm has a gain and a shift": right - (2 * layers + 1) * d,
        },
        what="parameters",
    )
    assert attention + net + 2 * norm == one
    return "two tables, and in each block 4 matrices of attention, 2 of the net, and the small fry."


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


@exercise
def flops(attempt: Attempt) -> str:
    """(vocab_size, d_model, num_layers, d_ff, n) -> operations a token, forward, of n tokens."""
    vocab, d, layers, ff, n = 101, 8, 3, 24, 20
    matrices = layers * (4 * d * d + 2 * d * ff) + vocab * d
    looks = layers * 2 * n * d  # multiplications: n scores of d, and n values of d
    right = 2 * (matrices + looks)
    compare(
        _whole(attempt(vocab, d, layers, ff, n)),
        right,
        mistakes={
            "a multiplication and an addition are two operations": matrices + looks,
            "the scores and the weighted mean are missing: each takes n times d": 2 * matrices,
            "the scores are counted, the weighted mean of the values is not": (
                2 * matrices + looks
            ),
            "the scores of the next token are a product too: vocab_size times d_model": (
                right - 2 * vocab * d
            ),
            "reading a row of the table of tokens multiplies nothing": right + 2 * vocab * d,
            "this is for all n tokens: divide by n": right * n,
            "only one block is counted": (2 * (4 * d * d + 2 * d * ff + vocab * d) + 4 * n * d),
            "a gradient takes twice as much again; asked for is the way forward": 3 * right,
        },
        what="operations",
    )
    return "two for each number in a matrix, and 4 n d in each attention, which grow with the text."


@exercise
def pusher(attempt: Attempt) -> str:
    """(activations [d_ff], values [d_ff d_model], wanted [d_model]) -> who raises it the most."""
    activations = torch.tensor([4.0, 0.5, -0.1, 2.0, 1.0])
    values = torch.tensor([[1.0, 9.0], [6.0, 0.0], [-60.0, 0.0], [2.5, 0.0], [-12.0, 0.0]])
    wanted = torch.tensor([1.0, 0.0])
    # Pushes: 4, 3, 6, 5, -12. By value alone: 1, by activation alone: 0, by size: 4.
    compare(
        _index(attempt(activations, values, wanted)),
        2,
        mistakes={
            "this neuron is the most active: how far does what it writes point to the token?": 0,
            "this one's value points to the token most: how active is it?": 1,
            "this would be right if only active neurons wrote; GELU goes a little below 0": 3,
            "this one lowers the token the most: do not drop the sign": 4,
            "this is the push itself; return the number of the neuron": 6.0,
        },
        what="neuron",
    )
    return "activation times value: what a neuron writes, measured along the token."


def _index(value: Any) -> Any:
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    return value


@exercise(gradients=True)
def own_block(attempt: Attempt) -> str:
    """(d_model, num_heads, d_ff) -> a module: a block of the reader's own, (x, mask) -> x."""
    made: Any = attempt(16, 2, 64)
    require(isinstance(made, nn.Module), "return a module, an object of a class with `forward`")
    mask = torch.ones(6, 6, dtype=torch.bool).tril()
    x = _random(1, 6, 16).requires_grad_()
    y: Any = attempt.call(made.eval(), x, mask)
    require(
        isinstance(y, Tensor) and y.shape == x.shape,
        "a block keeps the shape: [batch seq d_model] in, [batch seq d_model] out",
    )
    require(y.isfinite().all(), "some numbers are not finite")
    (back,) = torch.autograd.grad(y[0, 2].square().sum(), x)
    require(back[0, 3:].abs().max() == 0, "a token sees what comes after it: hand on the mask")
    require(back[0, :2].abs().max() > 0, "no token sees another: is the attention's output used?")
    count = sum(p.numel() for p in made.parameters())
    usual = 12 * 16 * 16 + 4 * 16 + (64 + 16) + 4 * 16  # matrices, biases, norms
    require(
        count <= usual,
        f"it has {count:,} parameters, the usual block {usual:,}: at equal cost is the question",
    )
    return f"{count:,} parameters, and no look ahead. Is it better? Train both, on several seeds."
