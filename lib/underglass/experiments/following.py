"""A training as recordings need it: told also where it diverges, and timed without its checks."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from torch import nn

from underglass import schedules
from underglass.training import History, NonFiniteError, fit


class RisesAndFalls:
    """What recipes have in common whose rate warms up, then falls on a cosine to 0.

    A recipe has the fields rate, steps, warmup (a share of the steps), and validations.
    """

    rate: float
    steps: int
    warmup: float
    validations: int

    @property
    def first_rate(self) -> float:
        """The rate that a history notes, that of the first group: all have the same."""
        return self.rate

    @property
    def validate_every(self) -> int:
        return -(-self.steps // self.validations)

    def factors(self) -> schedules.Schedule:
        """The factor of the rate at each step."""
        return schedules.cosine(self.steps, warmup_steps=round(self.warmup * self.steps))


def follow(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    validation: Iterable[Any],
    callbacks: Sequence[Callable[[nn.Module, History], Any]] = (),
    **options: Any,
) -> tuple[History, int | None, float]:
    """`fit`, with the same arguments, and what it raises where a run diverges told instead.

    Returns:
        What happened; the step at which the loss or the gradient was no finite number any more, or
        None (that step is not in the history); and the processor's seconds in training, without
        those of the validations.
    """
    history, diverged, timed = History(), None, Timed(validation)

    def keep(_: nn.Module, so_far: History) -> None:
        nonlocal history  # where the run diverges, `fit` returns none
        history = so_far

    started = time.process_time()
    try:
        fit(
            model,
            batches,
            validation=timed,
            callbacks=[keep, *callbacks],
            progress=False,
            **options,
        )
    except NonFiniteError as error:
        diverged = error.step
    return history, diverged, time.process_time() - started - timed.seconds


class Timed:
    """Batches, and the processor's seconds that went by while they were gone through."""

    def __init__(self, batches: Iterable[Any]) -> None:
        self.batches, self.seconds = batches, 0.0

    def __iter__(self) -> Iterator[Any]:
        started = time.process_time()
        yield from self.batches
        self.seconds += time.process_time() - started
