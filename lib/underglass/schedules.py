"""Schedules: by what factor the rate is multiplied at each step.

Each function makes a schedule: a function from the number of steps already taken to a factor. Plot
it, or hand it to torch, which multiplies the optimizer's own rate by it:

    schedule = schedules.cosine(1000, warmup_steps=100)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)

All begin with a warm-up: the factor grows to 1 on a straight line, in `warmup_steps` steps, while
the optimizer's means are still those of a few gradients. It starts at 0 (the very first step
changes nothing), but for `noam`. The others equal `transformers`' schedules at every step.

References: Vaswani et al. (2017), "Attention Is All You Need", section 5.3 (inverse square root);
Loshchilov and Hutter (2017), "SGDR", section 3 (cosine); Goyal et al. (2017), "Accurate, Large
Minibatch SGD", section 2.2 (warm-up).
Chapter: chapters/07_optimizers.ipynb
"""

import math
from collections.abc import Callable

Schedule = Callable[[int], float]


def constant(*, warmup_steps: int = 0) -> Schedule:
    """1 after the warm-up.

    Raises:
        ValueError, TypeError: if `warmup_steps` is not a whole number of at least 0.
    """
    _check_steps(warmup_steps=warmup_steps)
    return lambda step: _warmup(step, warmup_steps)


def linear(total_steps: int, *, warmup_steps: int = 0, floor: float = 0.0) -> Schedule:
    """1 - (1 - floor) (step - warmup_steps) / (total_steps - warmup_steps): a straight line down.

    Args:
        total_steps: after so many steps, and ever after, the factor is `floor`.
        floor: what remains of the rate, from 0 to 1.

    Raises:
        ValueError, TypeError: if the warm-up is longer than the whole, or a number out of range.
    """
    _check_decay(total_steps, warmup_steps, floor)

    def schedule(step: int) -> float:
        if step < warmup_steps:
            return _warmup(step, warmup_steps)
        remaining = max(0, total_steps - step) / max(1, total_steps - warmup_steps)
        return floor + (1 - floor) * remaining

    return schedule


def cosine(total_steps: int, *, warmup_steps: int = 0, floor: float = 0.0) -> Schedule:
    """floor + (1 - floor) (1 + cos(π progress)) / 2: half a wave down, slow at both ends.

    Args:
        total_steps: after so many steps the factor is `floor`. Stop there: beyond, the wave rises
            again (as in `transformers`).
        floor: what remains of the rate, from 0 to 1.

    Raises:
        ValueError, TypeError: if the warm-up is longer than the whole, or a number out of range.
    """
    _check_decay(total_steps, warmup_steps, floor)

    def schedule(step: int) -> float:
        if step < warmup_steps:
            return _warmup(step, warmup_steps)
        progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2

    return schedule


def inverse_square_root(*, warmup_steps: int, timescale: int | None = None) -> Schedule:
    """1 / √(1 + (step - warmup_steps) / timescale): no end needs to be known.

    Args:
        timescale: steps after the warm-up until the factor is 1/√2. As long as the warm-up unless
            given, and the factor is then √(warmup_steps / step); 10,000 without a warm-up.

    Raises:
        ValueError, TypeError: if a number is not a whole one in its range.
    """
    timescale = (warmup_steps or 10_000) if timescale is None else timescale
    _check_steps(warmup_steps=warmup_steps)
    _check_steps(timescale=timescale, least=1)

    def schedule(step: int) -> float:
        if step < warmup_steps:
            return _warmup(step, warmup_steps)
        return 1 / math.sqrt(1 + (step - warmup_steps) / timescale)

    return schedule


def noam(d_model: int, *, warmup_steps: int) -> Schedule:
    """d_model^-0.5 min(t^-0.5, t warmup_steps^-1.5), t = step + 1: the Transformer's own schedule.

    It is `inverse_square_root` counted from 1, times 1 / √(d_model warmup_steps), its peak; the
    optimizer's rate is meant to be 1, the paper's `warmup_steps` 4,000.

    Raises:
        ValueError, TypeError: if a number is not a whole one of at least 1.
    """
    _check_steps(d_model=d_model, warmup_steps=warmup_steps, least=1)
    return lambda step: d_model**-0.5 * min((step + 1) ** -0.5, (step + 1) * warmup_steps**-1.5)


def _warmup(step: int, warmup_steps: int) -> float:
    return step / warmup_steps if step < warmup_steps else 1.0


def _check_decay(total_steps: int, warmup_steps: int, floor: float) -> None:
    _check_steps(total_steps=total_steps, least=1)
    _check_steps(warmup_steps=warmup_steps)
    if warmup_steps > total_steps:
        raise ValueError(f"warmup_steps={warmup_steps}: expected at most total_steps={total_steps}")
    if not 0 <= floor <= 1:
        raise ValueError(f"floor={floor}: expected a factor from 0 to 1")


def _check_steps(*, least: int = 0, **steps: int) -> None:
    for name, value in steps.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name}={value!r}: expected a whole number")
        if value < least:
            raise ValueError(f"{name}={value}: expected at least {least}")
