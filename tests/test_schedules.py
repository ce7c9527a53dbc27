import math

import pytest
import torch
import transformers
from refusals import refused
from torch.optim.lr_scheduler import LambdaLR
from underglass import optimizers, schedules

RATE, BEYOND = 0.7, 40  # steps past the end of every schedule below


def rates(scheduler: LambdaLR, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step()
    return found


def optimizer():
    return optimizers.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)


SPANS = [(11, 0), (11, 1), (11, 3), (11, 10), (11, 11), (1, 0), (1, 1), (97, 13)]


def cases():
    for warmup in (0, 1, 7):
        yield (
            f"constant {warmup}",
            schedules.constant(warmup_steps=warmup),
            lambda o, w=warmup: transformers.get_constant_schedule_with_warmup(o, w),
        )
    for total, warmup in SPANS:
        yield (
            f"linear {total} {warmup}",
            schedules.linear(total, warmup_steps=warmup),
            lambda o, t=total, w=warmup: transformers.get_linear_schedule_with_warmup(o, w, t),
        )
        yield (
            f"cosine {total} {warmup}",
            schedules.cosine(total, warmup_steps=warmup),
            lambda o, t=total, w=warmup: transformers.get_cosine_schedule_with_warmup(o, w, t),
        )
        yield (
            f"cosine to a floor {total} {warmup}",
            schedules.cosine(total, warmup_steps=warmup, floor=0.1),
            lambda o, t=total, w=warmup: transformers.get_cosine_with_min_lr_schedule_with_warmup(
                o, w, t, min_lr_rate=0.1
            ),
        )
        if warmup < total:  # transformers divides by 0 there
            yield (
                f"linear to a floor {total} {warmup}",
                schedules.linear(total, warmup_steps=warmup, floor=0.1),
                lambda o, t=total, w=warmup: transformers.get_polynomial_decay_schedule_with_warmup(
                    o, w, t, 0.1 * RATE
                ),
            )
    for warmup, timescale in ((0, None), (7, None), (7, 3), (0, 5)):
        yield (
            f"inverse square root {warmup} {timescale}",
            schedules.inverse_square_root(warmup_steps=warmup, timescale=timescale),
            lambda o, w=warmup, s=timescale: transformers.get_inverse_sqrt_schedule(o, w, s),
        )


@pytest.mark.parametrize(
    ("ours", "theirs"), [pytest.param(a, b, id=name) for name, a, b in cases()]
)
def test_equals_transformers_at_every_step(ours, theirs):
    steps = 97 + BEYOND
    expected = rates(theirs(optimizer()), steps)
    assert rates(LambdaLR(optimizer(), ours), steps) == pytest.approx(
        expected, rel=1e-12, abs=1e-15
    )


def test_noam_is_the_formula_of_the_paper():
    schedule = schedules.noam(512, warmup_steps=4000)
    for number in (1, 2, 3999, 4000, 4001, 100_000):  # the paper counts from 1
        factor = 512**-0.5 * min(number**-0.5, number * 4000**-1.5)
        assert schedule(number - 1) == pytest.approx(factor, rel=1e-12)
    counted_from_0 = schedules.inverse_square_root(warmup_steps=4000)
    for step in (0, 10, 3999, 4000, 50_000):
        assert schedule(step) == pytest.approx(counted_from_0(step + 1) / math.sqrt(512 * 4000))


def test_a_schedule_ends_at_its_floor():
    for schedule in (schedules.linear, schedules.cosine):
        assert schedule(10, warmup_steps=2, floor=0.25)(2) == 1
        assert schedule(10, warmup_steps=2, floor=0.25)(10) == 0.25
        assert schedule(10, warmup_steps=10, floor=0.25)(5) == 0.5
    assert schedules.linear(10, floor=0.25)(10**6) == 0.25


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: schedules.constant(warmup_steps=-1), ValueError, "warmup_steps=-1: .* least 0"),
        (lambda: schedules.linear(0), ValueError, "total_steps=0: expected at least 1"),
        (lambda: schedules.cosine(-3), ValueError, "total_steps=-3: expected at least 1"),
        (
            lambda: schedules.linear(5, warmup_steps=6),
            ValueError,
            "warmup_steps=6: expected at most total_steps=5",
        ),
        (
            lambda: schedules.cosine(5, warmup_steps=6),
            ValueError,
            "warmup_steps=6: expected at most total_steps=5",
        ),
        (lambda: schedules.cosine(5, warmup_steps=-6), ValueError, "warmup_steps=-6: expected at"),
        (lambda: schedules.linear(5, floor=1.5), ValueError, "floor=1.5: expected a factor from 0"),
        (lambda: schedules.cosine(5, floor=-0.1), ValueError, "floor=-0.1: expected a factor from"),
        (
            lambda: schedules.inverse_square_root(warmup_steps=-1),
            ValueError,
            "warmup_steps=-1: expected at least 0",
        ),
        (
            lambda: schedules.inverse_square_root(warmup_steps=4, timescale=0),
            ValueError,
            "timescale=0: expected at least 1",
        ),
        (lambda: schedules.noam(0, warmup_steps=1), ValueError, "d_model=0: expected at least 1"),
        (
            lambda: schedules.noam(8, warmup_steps=0),
            ValueError,
            "warmup_steps=0: expected at least",
        ),
        (lambda: schedules.linear(1e3), TypeError, "total_steps=1000.0: expected a whole number"),  # pyright: ignore
        (
            lambda: schedules.constant(warmup_steps=True),
            TypeError,
            "warmup_steps=True: expected a whole number",
        ),
    ],
)
def test_wrong_numbers_are_refused(make, error, message):
    with refused(error, message):
        make()
