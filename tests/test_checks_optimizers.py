"""Each exercise of chapter 07: the stub, a solution, and typical mistakes by name."""

import math

import torch
from exercise_kit import assert_exercise, said
from underglass import checks


def test_largest_rate():
    def eigenvalues(hessian):
        return torch.linalg.eigvalsh(hessian)

    assert_exercise(
        checks.optimizers.largest_rate,
        stub=lambda hessian: ...,
        solution=lambda hessian: 2 / float(eigenvalues(hessian).max()),
        mistakes={
            "one": (lambda h: 1 / eigenvalues(h).max(), "straight down"),
            "flattest": (lambda h: 2 / eigenvalues(h).min(), "flattest direction"),
            "trace": (lambda h: 2 / h.trace(), "sum of all eigenvalues"),
            "entry": (lambda h: 2 / h.max(), "largest entry"),
            "eigenvalue": (lambda h: eigenvalues(h).max(), "2 over it"),
        },
    )


def test_noise_scale():
    def solution(rows):
        return float(rows.var(dim=0).sum() / rows.mean(dim=0).square().sum())

    assert_exercise(
        checks.optimizers.noise_scale,
        stub=lambda rows: ...,
        solution=solution,
        mistakes={
            "error": (lambda r: solution(r) ** 0.5, "is its square"),
            "upside down": (lambda r: 1 / solution(r), "upside down"),
            "mean": (lambda r: solution(r) / r.shape[1], "add up"),
            "length": (lambda r: solution(r) * r.mean(0).norm(), "squared length"),
            "wrong axis": (
                lambda r: r.var(dim=1).sum() / r.mean(dim=0).square().sum(),
                "window to window",
            ),
        },
    )


def test_noise_scale_takes_either_variance_and_a_tensor():
    def biased(rows):
        return rows.var(dim=0, correction=0).sum() / rows.mean(dim=0).square().sum()

    assert said(checks.optimizers.noise_scale, biased).startswith("Correct: ")


def _adamw(*given, l2=0.0, share=None, correct=True, raw=True):
    w, g, m, v, t, rate, decay = given
    g = g + l2 * w
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    a, b = (m / (1 - 0.9**t), v / (1 - 0.999**t)) if correct else (m, v)
    share = rate * decay if share is None else share
    w = (1 - share) * w - rate * a / (b.sqrt() + 1e-8)
    return (w, m, v) if raw else (w, a, b)


def test_adamw():
    assert_exercise(
        checks.optimizers.adamw,
        stub=lambda *args: (..., ..., ...),
        solution=_adamw,
        mistakes={
            "l2": (lambda *a: _adamw(*a[:6], 0.0, l2=a[6]), "L2 penalty"),
            "uncorrected": (lambda *a: _adamw(*a, correct=False), "beginning at 0"),
            "corrected kept": (lambda *a: _adamw(*a, raw=False), "not corrected"),
            "t": (lambda *a: _adamw(*a[:4], a[4] + 1, *a[5:]), "counted from 1"),
            "no decay": (lambda *a: _adamw(*a[:6], 0.0), "nothing decays"),
            "all of it": (lambda *a: _adamw(*a, share=a[-1]), "rate \\* decay"),
            "uphill": (lambda *a: _uphill(*a), "uphill"),
            "no square": (lambda *a: (*_adamw(*a)[:2], a[3]), "v: . of 4 values"),
        },
    )


def _uphill(w, g, m, v, t, rate, decay):
    new, m, v = _adamw(w, g, m, v, t, rate, decay)
    return 2 * (1 - rate * decay) * w - new, m, v


def test_linear():
    def solution(step, total, warmup):
        return step / warmup if step < warmup else (total - step) / (total - warmup)

    assert_exercise(
        checks.optimizers.linear,
        stub=lambda step, total, warmup: ...,
        solution=solution,
        mistakes={
            "jump": (lambda s, t, w: s / w if s < w else 1 - s / t, "jump"),
            "no fall": (lambda s, t, w: min(1.0, s / max(1, w)), "does not fall"),
            "no warm-up": (lambda s, t, w: 1 - s / t, "no warm-up"),
            "never 0": (lambda s, t, w: s / w if s < w else 1 - (s - w) / t, "last step"),
            "not a share": (lambda s, t, w: s if s < w else (t - s) / (t - w), "above 1"),
            "divides by 0": (
                lambda s, t, w: s / w if s <= w else (t - s) / (t - w),
                "ZeroDivisionError",
            ),
        },
    )


def test_training_bytes():
    assert_exercise(
        checks.optimizers.training_bytes,
        stub=lambda parameters, states, size: ...,
        solution=lambda parameters, states, size: parameters * (2 + states) * size,
        mistakes={
            "no gradients": (lambda p, s, b: p * (1 + s) * b, "gradients need room"),
            "states only": (lambda p, s, b: p * s * b, "parameters themselves"),
            "numbers": (lambda p, s, b: p * (2 + s), "not yet bytes"),
            "one state": (lambda p, s, b: p * (2 + min(1, s)) * b, "only one"),
            "four at least": (lambda p, s, b: p * (2 + max(4, s)) * b, "without any state"),
        },
    )


def test_own_step():
    def solution(w, g, state, rate):
        state["b"] = 0.9 * state.get("b", 0) + g
        return w - rate * state["b"]

    kept = {"b": torch.zeros(2)}

    def forgetful(w, g, state, rate):
        kept["b"] = 0.9 * kept["b"] + g
        return w - rate * kept["b"]

    assert_exercise(
        checks.optimizers.own_step,
        stub=lambda w, g, state, rate: ...,
        solution=solution,
        mistakes={
            "uphill": (lambda w, g, state, rate: w + rate * g, "goes up, not down"),
            "elsewhere": (forgetful, "keep what you remember in `state`"),
            "no rate": (lambda w, g, state, rate: w - 0.01 * g, "rate is not used"),
            "one number": (lambda w, g, state, rate: w.sum(), "same shape as w"),
            "too timid": (lambda w, g, state, rate: w - 1e-3 * rate * g, "still above 1"),
            "in place": (lambda w, g, state, rate: w.sub_(rate * g), "in place"),
        },
    )


def test_a_diverging_run_is_no_exception():
    for factor in (100, math.inf):
        line = said(
            checks.optimizers.own_step, lambda w, g, state, rate, f=factor: w - f * rate * g
        )
        assert "goes up, not down" in line
