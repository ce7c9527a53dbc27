"""Each exercise of chapter 08: the stub, a solution, and typical mistakes by name."""

import math

import torch
from exercise_kit import assert_exercise
from underglass import checks

LOG2 = math.log(2)


def test_bits_per_byte():
    assert_exercise(
        checks.pretraining.bits_per_byte,
        stub=lambda nats, n, size: ...,
        solution=lambda nats, n, size: nats * n / LOG2 / size,
        mistakes={
            "nats": (lambda nats, n, size: nats * n / size, "nats per byte"),
            "times": (lambda nats, n, size: nats * n * LOG2 / size, "do not multiply"),
            "token": (lambda nats, n, size: nats / LOG2, "bits per token"),
            "all": (lambda nats, n, size: nats * n / LOG2, "divide by the bytes"),
            "turned": (lambda nats, n, size: nats / LOG2 * size / n, "upside down"),
        },
    )


def _held(years, every, *, first=None):
    different = sorted(set(years))
    chosen = set(different[every - 1 if first is None else first :: every])
    return [i for i, year in enumerate(years) if year in chosen]


def test_held_back():
    assert_exercise(
        checks.pretraining.held_back,
        stub=lambda years, every: ...,
        solution=_held,
        mistakes={
            "messages": (lambda years, k: [*range(k - 1, len(years), k)], "torn apart"),
            "one": (lambda years, k: [3, 8], "its twin"),
            "years": (lambda years, k: sorted(set(years))[k - 1 :: k], "return the numbers"),
            "first": (lambda years, k: _held(years, k, first=0), "not the first"),
            "divisible": (
                lambda years, k: [i for i, y in enumerate(years) if y % k == 0],
                "divisible",
            ),
        },
    )


def _packed(texts, end, seq, *, extra=1, before=False, ends=True):
    ribbon = []
    for text in texts:
        ribbon += [end] * (before and ends) + [*text] + [end] * (not before and ends)
    rows = len(ribbon) // (seq + extra)
    return torch.tensor(ribbon[: rows * (seq + extra)]).reshape(rows, seq + extra)


def test_packed():
    assert_exercise(
        checks.pretraining.packed,
        stub=lambda texts, end, seq: ...,
        solution=_packed,
        mistakes={
            "no end": (lambda t, e, s: _packed(t, e, s, ends=False), "Put `end` after each"),
            "before": (lambda t, e, s: _packed(t, e, s, before=True), "belongs after"),
            "seq": (lambda t, e, s: _packed(t, e, s, extra=0), "one more is needed"),
            "a row each": (
                lambda t, e, s: torch.tensor([[*x, *[e] * 4][:4] for x in t]),
                "one text a row",
            ),
            "filled": (lambda t, e, s: torch.zeros(5, s + 1), "leave it out"),
        },
    )


def _hidden(row, chosen, u, others, mask, *, low=0.8, high=0.9, everywhere=False):
    at = torch.ones_like(chosen) if everywhere else chosen
    read = torch.where(at & (u < low), mask, row)
    read = torch.where(at & (u >= low) & (u < high), others, read)
    return read, torch.where(chosen, row, -100)


def test_hidden():
    assert_exercise(
        checks.pretraining.hidden,
        stub=lambda row, chosen, u, others, mask: (..., ...),
        solution=_hidden,
        mistakes={
            "all": (lambda *a: _hidden(*a, low=1.0, high=1.0), "one in ten stays"),
            "unchosen": (lambda *a: _hidden(*a, everywhere=True), "not chosen"),
            "masks only": (
                lambda row, chosen, u, others, mask: (
                    _hidden(row, chosen, u, others, mask)[0],
                    torch.where(chosen & (u < 0.8), row, -100),
                ),
                "guessed all the same",
            ),
            "everything": (lambda row, *a: (_hidden(row, *a)[0], row), "the others get -100"),
            "read": (
                lambda row, chosen, *a: (
                    _hidden(row, chosen, *a)[0],
                    torch.where(chosen, _hidden(row, chosen, *a)[0], -100),
                ),
                "the true token",
            ),
        },
    )


def _foresee(n1, loss1, n2, loss2, n3):
    alpha = math.log(loss1 / loss2) / math.log(n2 / n1)
    return loss1 * n1**alpha, alpha, loss1 * n1**alpha / n3**alpha


def test_foresee():
    def changed(change):
        return lambda *given: change(given, *_foresee(*given))

    assert_exercise(
        checks.pretraining.foresee,
        stub=lambda n1, loss1, n2, loss2, n3: (..., ..., ...),
        solution=_foresee,
        mistakes={
            "sign": (changed(lambda g, a, k, last: (a, -k, last)), "wrong sign"),
            "turned": (changed(lambda g, a, k, last: (a, 1 / k, last)), "not the other way"),
            "straight": (
                changed(
                    lambda g, a, k, last: (
                        a,
                        k,
                        g[3] + (g[3] - g[1]) / (g[2] - g[0]) * (g[4] - g[2]),
                    )
                ),
                "take logarithms",
            ),
            "third": (changed(lambda g, a, k, last: (a, k, a * g[4] ** k)), "third size is"),
            "factor": (changed(lambda g, a, k, last: (g[1], k, last)), "alpha is right; A is"),
        },
    )


def test_minimal_pairs():
    good = [("a b", "a c"), ("d e", "d f"), ("g h", "i h"), ("j", "k")]
    assert_exercise(
        checks.pretraining.minimal_pairs,
        stub=...,
        solution=good,
        mistakes={
            "text": ("a b", "a list of pairs"),
            "few": (good[:3], "3 pairs say nothing"),
            "single": ([*good[:3], "ab"], "no pair of two"),
            "long": ([*good[:3], ("a b", "a b c")], "have 2 and 3 words"),
            "two words": ([*good[:3], ("a b", "c d")], "differ in 2 words"),
            "same": ([*good[:3], ("a b", "a b")], "differ in 0 words"),
            "twice": ([*good[:3], good[0]], "comes twice"),
        },
    )
