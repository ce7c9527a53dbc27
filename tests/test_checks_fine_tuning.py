"""Each exercise of chapter 09: the stub, a solution, and typical mistakes by name."""

import re

import torch
from exercise_kit import assert_exercise, said
from torch.nn import functional as F
from underglass import checks


def _words(text):
    return tuple(re.findall(r"\w+", text.lower()))


def test_repeated():
    def by(key):
        return lambda training, test: [
            text for text in training if key(text) in [key(other) for other in test]
        ]

    assert_exercise(
        checks.fine_tuning.repeated,
        stub=lambda training, test: ...,
        solution=by(_words),
        mistakes={
            "exact": (by(lambda text: text), "only exact copies"),
            "with case": (by(lambda text: re.findall(r"\w+", text)), "case still"),
            "with punctuation": (by(lambda text: text.lower()), "punctuation"),
            "with spaces": (by(lambda text: re.sub(r"[^\w ]", "", text.lower())), "white space"),
            "the test's": (lambda a, b: by(_words)(b, a), "texts of the test part"),
            "the others": (
                lambda a, b: [t for t in a if _words(t) not in {_words(o) for o in b}],
                "may stay",
            ),
            "changed": (
                lambda a, b: [" ".join(_words(t)) for t in by(_words)(a, b)],
                "as they were",
            ),
            "letters within": (
                lambda a, b: [
                    t for t in a if any(" ".join(_words(o)) in " ".join(_words(t)) for o in b)
                ],
                "contains the letters",
            ),
        },
    )


def test_lora_numbers():
    assert_exercise(
        checks.fine_tuning.lora_numbers,
        stub=lambda shapes, rank: ...,
        solution=lambda shapes, rank: rank * sum(a + b for a, b in shapes),
        mistakes={
            "weights": (lambda s, r: sum(a * b for a, b in s), "stay frozen"),
            "product": (lambda s, r: r * sum(a * b for a, b in s), "more than the matrix"),
            "only A": (lambda s, r: r * sum(b for _, b in s), "A alone"),
            "only B": (lambda s, r: r * sum(a for a, _ in s), "B alone"),
            "one matrix": (lambda s, r: r * sum(s[0]), "of its own"),
            "no rank": (lambda s, r: sum(a + b for a, b in s), "multiply by the rank"),
            "square": (lambda s, r: sum(r * (a + b) + r * r for a, b in s), "no square"),
        },
    )


def test_lora_forward():
    def added(factor):
        return lambda x, W, A, B, alpha: x @ W.T + factor(alpha, A) * (x @ A.T @ B.T)

    assert_exercise(
        checks.fine_tuning.lora_forward,
        stub=lambda x, W, A, B, alpha: ...,
        solution=added(lambda alpha, A: alpha / len(A)),
        mistakes={
            "alpha": (added(lambda alpha, A: alpha), "not divided"),
            "nothing": (added(lambda alpha, A: 1), "no factor"),
            "upside down": (added(lambda alpha, A: len(A) / alpha), "upside down"),
            "columns": (added(lambda alpha, A: alpha / A.shape[1]), "rows of A"),
            "alone": (lambda x, W, A, B, alpha: alpha / len(A) * x @ A.T @ B.T, "is missing"),
            "all": (
                lambda x, W, A, B, alpha: alpha / len(A) * (x @ W.T + x @ A.T @ B.T),
                "alone",
            ),
            "frozen": (lambda x, W, A, B, alpha: x @ W.T, "nothing of A and B"),
        },
    )


def test_layer_rates():
    def rates(rate, factor, blocks):
        return [rate * factor ** (blocks + 1 - depth) for depth in range(blocks + 2)]

    assert_exercise(
        checks.fine_tuning.layer_rates,
        stub=lambda rate, factor, blocks: ...,
        solution=rates,
        mistakes={
            "turned": (lambda *a: rates(*a)[::-1], "turn the list"),
            "no tables": (lambda *a: rates(*a)[1:], "one is missing"),
            "blocks": (lambda *a: rates(*a)[1:-1], "rates too"),
            "too low": (lambda r, f, n: rates(r * f, f, n), "a factor too low"),
            "even": (lambda r, f, n: [r * (d + 1) / (n + 2) for d in range(n + 2)], "same amount"),
            "grows": (lambda r, f, n: rates(r, 1 / f, n), "does not divide"),
        },
    )
    line = said(checks.fine_tuning.layer_rates, lambda *a: torch.tensor(rates(*a)))
    assert line.startswith("Correct")


def test_halving():
    def rungs(trials, amount, keep):
        found = [(trials, amount)]
        while found[-1][0] > 1:
            found.append((found[-1][0] // keep, found[-1][1] * keep))
        return found

    assert_exercise(
        checks.fine_tuning.halving,
        stub=lambda trials, amount, keep: ...,
        solution=rungs,
        mistakes={
            "no end": (lambda *a: rungs(*a)[:-1], "one trial, is missing"),
            "all stay": (lambda n, a, k: [(n, a * k**i) for i in range(4)], "sent home"),
            "no more": (lambda n, a, k: [(m, a) for m, _ in rungs(n, a, k)], "amount stays"),
            "adds": (
                lambda n, a, k: [(m, a * (i + 1)) for i, (m, _) in enumerate(rungs(n, a, k))],
                "multiplied",
            ),
            "no first": (lambda *a: rungs(*a)[1:], "all trials"),
            "halves": (lambda n, a, k: rungs(n, a, 2), "this halves"),
            "beyond": (lambda *a: [*rungs(*a), (0, 8100)], "goes on"),
            "written out": (lambda n, a, k: rungs(27, 100, 3), "written out"),
        },
    )


def test_temperature():
    def best(score, choose=min):
        return lambda own, labels, tried: choose(tried, key=lambda t: score(own, labels, t))

    def loss(own, labels, t):
        return float(F.binary_cross_entropy_with_logits(own / t, labels.float()))

    assert_exercise(
        checks.fine_tuning.temperature,
        stub=lambda own, labels, tried: ...,
        solution=best(loss),
        mistakes={
            "times": (best(lambda o, y, t: loss(o, y, 1 / t)), "divide by the temperature"),
            "highest": (best(loss, max), "highest loss"),
            "the loss": (
                lambda o, y, tried: min(loss(o, y, t) for t in tried),
                "lowest loss itself",
            ),
            "accuracy": (
                best(lambda o, y, t: -float(((o / t > 0) == (y > 0)).float().mean())),
                "accuracy cannot choose",
            ),
            "place": (
                lambda o, y, tried: min(range(len(tried)), key=lambda i: loss(o, y, tried[i])),
                "place in the list",
            ),
            "no labels": (
                best(lambda o, y, t: float(torch.sigmoid(o / t).sub(0.5).abs().sum())),
                "labels are not used",
            ),
        },
    )


def test_own_slice():
    assert_exercise(
        checks.fine_tuning.own_slice,
        stub=lambda text: ...,
        solution=lambda text: "not" in text.lower().split(),
        mistakes={
            "none": (lambda text: "zebra" in text, "widen"),
            "all": (lambda text: len(text) > 0, "narrow"),
            "a number": (lambda text: text.count("not"), "True or False"),
            "chance": (lambda text: bool(torch.rand(()) < 0.5), "no chance"),
        },
    )
