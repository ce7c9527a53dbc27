"""Each exercise of chapter 10: the stub, a solution, and typical mistakes by name."""

import math
from collections.abc import Sequence

import torch
from exercise_kit import assert_exercise, said
from underglass import checks


def test_at_temperature():
    assert_exercise(
        checks.generation.at_temperature,
        stub=lambda p, t: ...,
        solution=lambda p, t: p ** (1 / t) / (p ** (1 / t)).sum(),
        mistakes={
            "no sum": (lambda p, t: p ** (1 / t), "sum is not 1"),
            "upside down": (lambda p, t: p**t / (p**t).sum(), "temperature 2"),
            "no logarithm": (lambda p, t: (p / t).softmax(dim=-1), "takes logarithms"),
            "linear": (lambda p, t: (p / t) / (p / t).sum(), "changes nothing"),
            "floor": (
                lambda p, t: ((p + 1e-9).log() / t).softmax(dim=-1),
                "what has the probability 0 keeps it",
            ),
        },
    )


def _nucleus(given, p, *, short=False, share=True, ordered=True, back=True):
    rows, places = given.sort(descending=True) if ordered else (given, torch.arange(len(given)))
    before = rows.cumsum(0) - (0 if short else rows)
    rows = rows.masked_fill(before > p if short else before >= p, 0.0)
    out = torch.zeros_like(given)
    out[places if back else torch.arange(len(given))] = rows
    return out / out.sum() if share else out


def test_nucleus():
    assert_exercise(
        checks.generation.nucleus,
        stub=lambda given, p: ...,
        solution=_nucleus,
        mistakes={
            "short": (lambda g, p: _nucleus(g, p, short=True), "reaches p belongs"),
            "no sum": (lambda g, p: _nucleus(g, p, share=False), "divide by it"),
            "unsorted": (lambda g, p: _nucleus(g, p, ordered=False), "sort them first"),
            "moved": (lambda g, p: _nucleus(g, p, back=False), "undo the sorting"),
            "alone": (lambda g, p: g * (g > p), "p by itself"),
            "two": (
                lambda g, p: _nucleus(g, p) if len(g) > 2 else g,
                "it stays, and alone",
            ),
        },
    )


def test_cache_bytes():
    assert_exercise(
        checks.generation.cache_bytes,
        stub=lambda *sizes: ...,
        solution=lambda layers, heads, d, n, size: 2 * layers * heads * d * n * size,
        mistakes={
            "keys only": (lambda a, h, d, n, size: a * h * d * n * size, "keys and values"),
            "numbers": (lambda a, h, d, n, size: 2 * a * h * d * n, "not yet bytes"),
            "one layer": (lambda a, h, d, n, size: 2 * h * d * n * size, "each layer"),
            "one head": (lambda a, h, d, n, size: 2 * a * d * n * size, "each head"),
            "square": (lambda a, h, d, n, size: 2 * a * h * d * n * n * size, "square"),
        },
    )


def test_leftover():
    def share(x):
        return x / x.sum()

    assert_exercise(
        checks.generation.leftover,
        stub=lambda p, q: ...,
        solution=lambda p, q: share((p - q).clamp(min=0)),
        mistakes={
            "target": (lambda p, q: p, "target itself"),
            "no sum": (lambda p, q: (p - q).clamp(min=0), "divide by it"),
            "negative": (lambda p, q: p - q, "set it to 0"),
            "turned": (lambda p, q: share((q - p).clamp(min=0)), "other way round"),
            "distance": (lambda p, q: share((p - q).abs()), "the sign counts"),
        },
    )


def _runs(text: Sequence[str], others: Sequence[str]):
    for start in range(len(text)):
        for end in range(start + 1, len(text) + 1):
            run = list(text[start:end])
            if any(run == list(others[i : i + len(run)]) for i in range(len(others))):
                yield run


def test_longest_match():
    def solution(text, others):
        return max(_runs(text, others), key=len, default=[])

    assert_exercise(
        checks.generation.longest_match,
        stub=lambda text, others: ...,
        solution=solution,
        mistakes={
            "set": (lambda a, b: set(a) & set(b), "set of words"),
            "gaps": (lambda a, b: [word for word in a if word in b], "gaps"),
            "length": (lambda a, b: len(solution(a, b)), "this is the length"),
            "short": (lambda a, b: solution(a, b)[:-1], "last word"),
            "first": (lambda a, b: solution(a, b)[:3], "not the longest"),
            "none": (lambda a, b: max(_runs(a, b), key=len), "ValueError"),
        },
    )


def test_own_rule():
    def solution(logits):
        p = logits.softmax(dim=-1)
        return logits.masked_fill(p < p.max() ** 2, -math.inf)

    state = []

    def other_each_time(logits):
        state.append(1)
        return logits / len(state)

    assert_exercise(
        checks.generation.own_rule,
        stub=lambda logits: ...,
        solution=solution,
        mistakes={
            "shape": (lambda x: x[:3], "as many as came in"),
            "nan": (lambda x: x / 0 * 0, "NaN"),
            "nothing left": (lambda x: x.masked_fill(x < 99, -math.inf), "nothing is left"),
            "order": (lambda x: -x, "keeps the order"),
            "places": (lambda x: torch.cat([x[:3], x[3:] - 9]), "where a token stands"),
            "chance": (other_each_time, "second time"),
            "same": (lambda x: x + 1, "nothing was changed"),
            "in place": (lambda x: x.div_(2), "in place"),
        },
    )


def test_a_rule_may_cut_the_likeliest_too():
    """As locally typical sampling does, which chapter 10 names."""

    def typical(logits):
        logs = logits.log_softmax(dim=-1)
        entropy = -(logs.exp() * logs).sum()
        return logits.masked_fill((-logs - entropy).abs() > 0.4, -math.inf)

    assert torch.isneginf(typical(torch.tensor([2.0, 1.5, 0.5, 0.0, -1.0, -4.0]))[0])
    assert said(checks.generation.own_rule, typical).startswith("Correct: of six trial tokens")
