"""Each exercise of chapter 05: the stub, a solution, and typical mistakes by name."""

import torch
from exercise_kit import assert_exercise, said
from torch import nn
from underglass import checks
from underglass.attention import MultiHeadAttention
from underglass.layers import FeedForward, PreNormBlock
from underglass.models.gpt import GPT, GPTConfig


def test_layer_norm():
    def solution(x, gain, shift, eps, dim=-1, correction=0):
        mean = x.mean(dim=dim, keepdim=True)
        variance = x.var(dim=dim, correction=correction, keepdim=True)
        return gain * (x - mean) / (variance + eps).sqrt() + shift

    def rms(x, gain, shift, eps):
        return gain * x / (x.square().mean(dim=-1, keepdim=True) + eps).sqrt() + shift

    def outside(x, gain, shift, eps):
        centered = x - x.mean(dim=-1, keepdim=True)
        return gain * centered / (x.std(dim=-1, correction=0, keepdim=True) + eps) + shift

    assert_exercise(
        checks.architectures.layer_norm,
        stub=lambda x, gain, shift, eps: ...,
        solution=solution,
        mistakes={
            "rms": (rms, "RMSNorm"),
            "columns": (lambda *a: solution(*a, dim=0), "a row, so dim=-1"),
            "sample": (lambda *a: solution(*a, correction=1), "over n - 1"),
            "outside": (outside, "eps is outside"),
            "no eps": (lambda x, g, b, eps: solution(x, g, b, 0.0), "eps is not used"),
            "no gain": (lambda x, g, b, eps: solution(x, 1, 0, eps), "gain and shift"),
            "no shift": (lambda x, g, b, eps: solution(x, g, 0, eps), "shift is not added"),
            "both scaled": (lambda x, g, b, eps: solution(x, g, g * b, eps), "then shift"),
        },
    )


def test_layer_norm_takes_torchs():
    def theirs(x, gain, shift, eps):
        return nn.functional.layer_norm(x, x.shape[-1:], gain, shift, eps)

    assert said(checks.architectures.layer_norm, theirs).startswith("Correct: ")


def test_block():
    def solution(x, attention, feed_forward, norms):
        x = x + attention(norms[0](x))
        return x + feed_forward(norms[1](x))

    def after(x, attention, feed_forward, norms):
        x = norms[0](x + attention(x))
        return norms[1](x + feed_forward(x))

    def in_the_stream(x, attention, feed_forward, norms):
        x = norms[0](x)
        x = norms[1](x + attention(x))
        return x + feed_forward(x)

    def beside(x, attention, feed_forward, norms):
        return x + attention(norms[0](x)) + feed_forward(norms[1](x))

    def no_sums(x, attention, feed_forward, norms):
        x = attention(norms[0](x))
        return x + feed_forward(norms[1](x))

    def lost(x, attention, feed_forward, norms):
        y = x + attention(norms[0](x))
        return x + feed_forward(norms[1](y))

    assert_exercise(
        checks.architectures.block,
        stub=lambda x, attention, feed_forward, norms: ...,
        solution=solution,
        mistakes={
            "after": (after, "after the sums, as in 2017"),
            "in the stream": (in_the_stream, "stands in the stream"),
            "beside": (beside, "as it was before attention"),
            "no sum": (no_sums, "takes the place of x"),
            "lost": (lost, "attention's output is lost"),
            "no norms": (lambda x, a, f, n: solution(x, a, f, [lambda x: x] * 2), "no norms"),
            "one norm": (lambda x, a, f, n: solution(x, a, f, [n[0]] * 2), "each has its own"),
        },
    )


def count(vocab, length, d, layers, ff, *, biases=1, norms=2, last=1, output=0, positions=1):
    one = 4 * (d * d + biases * d) + 2 * d * ff + biases * (ff + d) + norms * 2 * d
    return (vocab * (1 + output) + positions * length) * d + layers * one + last * 2 * d


def test_parameters():
    assert_exercise(
        checks.architectures.parameters,
        stub=lambda *sizes: ...,
        solution=count,
        mistakes={
            "last norm": (lambda *a: count(*a, last=0), "behind the last block"),
            "output": (lambda *a: count(*a, output=1), "counted twice"),
            "positions": (lambda *a: count(*a, positions=0), "table of positions"),
            "biases": (lambda *a: count(*a, biases=0), "biases are missing"),
            "norms": (lambda *a: count(*a, norms=0, last=0), "two in each block, and one"),
            "one norm": (lambda *a: count(*a, norms=1), "two norms, not one"),
            "one block": (lambda v, m, d, n, f: count(v, m, d, 1, f), "only one block"),
            "wide": (lambda v, m, d, n, f: count(v, m, d, n, 4 * d), "need not be 4"),
        },
    )


def test_parameters_are_those_of_a_gpt():
    config = GPTConfig(
        vocab_size=101, max_len=31, d_model=8, num_layers=3, num_heads=2, d_ff=24, dropout=0.0
    )
    model = GPT(config)
    real = sum(p.numel() for p in model.parameters())
    assert real == count(101, 31, 8, 3, 24)
    assert said(checks.architectures.parameters, lambda *sizes: real).startswith("Correct: ")


def products(vocab, d, layers, ff, n, *, each=2, looks=4, output=1, reads=0):
    matrices = layers * (4 * d * d + 2 * d * ff) + (output + reads) * vocab * d
    return each * matrices + layers * looks * n * d


def test_flops():
    assert_exercise(
        checks.architectures.flops,
        stub=lambda *sizes: ...,
        solution=products,
        mistakes={
            "one each": (lambda *a: products(*a, each=1, looks=2), "are two operations"),
            "no looks": (lambda *a: products(*a, looks=0), "weighted mean are missing"),
            "scores only": (lambda *a: products(*a, looks=2), "weighted mean of the values is not"),
            "no output": (lambda *a: products(*a, output=0), "scores of the next token"),
            "reads": (lambda *a: products(*a, reads=1), "multiplies nothing"),
            "all": (lambda *a: products(*a) * a[-1], "divide by n"),
            "one block": (lambda v, d, n, f, s: products(v, d, 1, f, s), "only one block"),
            "training": (lambda *a: 3 * products(*a), "way forward"),
        },
    )


def test_pusher():
    assert_exercise(
        checks.architectures.pusher,
        stub=lambda activations, values, wanted: ...,
        solution=lambda a, v, w: int((a * (v @ w)).argmax()),
        mistakes={
            "active": (lambda a, v, w: a.argmax(), "most active"),
            "value": (lambda a, v, w: (v @ w).argmax(), "how active is it"),
            "relu": (lambda a, v, w: (a.relu() * (v @ w)).argmax(), "a little below 0"),
            "size": (lambda a, v, w: (a * (v @ w)).abs().argmax(), "drop the sign"),
            "push": (lambda a, v, w: (a * (v @ w)).max(), "the number of the neuron"),
        },
    )


class Parallel(nn.Module):
    """Attention and feed-forward net read the same norm."""

    def __init__(self, d_model, num_heads, d_ff):
        super().__init__()
        self.attention = MultiHeadAttention(d_model, num_heads)
        self.feed_forward = FeedForward(d_model, d_ff)
        self.norm = nn.LayerNorm(d_model)

    def forward(self, x, mask):
        y = self.norm(x)
        return x + self.attention(y, mask=mask) + self.feed_forward(y)


class Ahead(Parallel):
    def forward(self, x, mask):
        return super().forward(x, torch.ones_like(mask))


class Alone(Parallel):
    def forward(self, x, mask):
        return x + self.feed_forward(self.norm(x))


class Narrow(Parallel):
    def forward(self, x, mask):
        return super().forward(x, mask)[..., :4]


def usual(d_model, num_heads, d_ff):
    parts = MultiHeadAttention(d_model, num_heads), FeedForward(d_model, d_ff)
    norms = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
    return PreNormBlock(parts[0], norms[0], parts[1], norms[1])


def test_own_block():
    assert_exercise(
        checks.architectures.own_block,
        stub=lambda d_model, num_heads, d_ff: ...,
        solution=Parallel,
        mistakes={
            "ahead": (Ahead, "sees what comes after it"),
            "alone": (Alone, "no token sees another"),
            "shape": (Narrow, "keeps the shape"),
            "large": (lambda d, h, f: Parallel(d, h, 2 * f), "the usual block 3,280"),
            "function": (lambda d, h, f: lambda x, mask: x, "return a module"),
        },
    )


def test_the_usual_block_is_allowed_and_counted_right():
    assert said(checks.architectures.own_block, usual).startswith("Correct: 3,280 parameters")
