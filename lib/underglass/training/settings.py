"""The options of a run, checked when they are put together."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from underglass.schedules import Schedule
from underglass.training import checks
from underglass.training.batches import Batch, Loss
from underglass.training.configuration import Json, compared_steps, describe_loss, describe_schedule
from underglass.training.history import History

Callback = Callable[[nn.Module, History], bool | None]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The keyword arguments of `fit`, which explains them."""

    loss: Loss
    steps: int
    schedule: Schedule | None
    validation: Iterable[Batch] | None
    validate_every: int
    patience: int | None
    checkpoint: str | Path | None
    checkpoint_every: int
    accumulate: int
    max_norm: float | None
    precision: str | None
    sharded: bool
    callbacks: Sequence[Callback]

    def __post_init__(self) -> None:
        checks.check_callable("loss", self.loss)
        for name in ("steps", "validate_every", "checkpoint_every", "accumulate"):
            checks.check_count(name, getattr(self, name))
        checks.check_schedule(self.schedule, self.steps)
        checks.check_patience(self.patience, self.validation)
        checks.check_max_norm(self.max_norm)
        checks.check_precision(self.precision)
        checks.check_path(self.checkpoint)
        checks.check_callbacks(self.callbacks)

    @property
    def path(self) -> Path | None:
        return None if self.checkpoint is None else Path(self.checkpoint).expanduser()

    def describe(self) -> Json:
        """What a step depends on."""
        return {
            "loss": describe_loss(self.loss),
            "schedule": describe_schedule(self.schedule, compared_steps(self.steps)),
            "accumulate": self.accumulate,
            "max_norm": self.max_norm,
            "precision": self.precision,
        }

    def is_due(self, every: int, step: int) -> bool:
        """Whether something that happens every so many steps, and at the end, happens now."""
        return step % every == 0 or step == self.steps

    def compared_with(self, saved: dict[str, Any]) -> Json:
        """The same as `describe`, with the schedule at the steps at which it was saved."""
        steps = [int(step) for step in saved.get("schedule") or {}] or compared_steps(self.steps)
        return self.describe() | {"schedule": describe_schedule(self.schedule, steps)}
