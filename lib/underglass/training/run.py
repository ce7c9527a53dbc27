"""One training run: what it is made of, and its steps."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from underglass.training import gradients, state
from underglass.training.batches import Stream
from underglass.training.checkpoint import Checkpoint, write_checkpoint
from underglass.training.configuration import Json
from underglass.training.distributed import World
from underglass.training.history import History
from underglass.training.settings import Settings
from underglass.training.validation import has_stalled, validate


@dataclass
class Run:
    """The parts of a run.

    Attributes:
        model: as its owner knows it.
        wrapped: the same, as several processes train it together.
        is_stopped: whether a callback ended the run.
        rates: those of the optimizers' groups, before the schedule's factor.
    """

    model: nn.Module
    wrapped: nn.Module
    optimizers: Sequence[Optimizer]
    stream: Stream
    settings: Settings
    world: World
    scaler: GradScaler
    configuration: Json
    history: History
    is_stopped: bool = False
    rates: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.rates = [group["lr"] for group in self._groups()]

    def take_step(self) -> None:
        """One step along the gradient, and a line in the history."""
        started = time.perf_counter()
        rate = self._set_rates(len(self.history))
        self.model.zero_grad()
        loss, tokens = gradients.add_gradients(
            self.wrapped,
            [next(self.stream) for _ in range(self.settings.accumulate)],
            self.settings.loss,
            self.world,
            self.settings.precision,
            self.scaler,
        )
        norm = self._move(loss)
        self.history.step.append(len(self.history) + 1)
        self.history.loss.append(loss)
        self.history.rate.append(rate)
        self.history.gradient_norm.append(norm)
        self.history.tokens_per_second.append(tokens / (time.perf_counter() - started))

    def _move(self, loss: float) -> float:
        """Check and clip the gradient, take the step, and return the gradient's length.

        Where fp16 overflows, its scaler tries a smaller scale from the next step on, and this one
        is skipped: the length is not a number then.
        """
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        params = [param for group in self._groups() for param in group["params"]]
        norm = gradients.gradient_norm(params)
        is_skipped = self.scaler.is_enabled() and math.isfinite(loss) and not math.isfinite(norm)
        if not is_skipped:
            gradients.check_finite(self.model, len(self.history) + 1, loss, norm)
            if self.settings.max_norm is not None:
                gradients.clip_gradients(params, norm, self.settings.max_norm)
            for optimizer in self.optimizers:
                self.scaler.step(optimizer)
        self.scaler.update()
        return math.nan if is_skipped else norm

    @property
    def is_over(self) -> bool:
        return (
            self.is_stopped
            or len(self.history) == self.settings.steps
            or has_stalled(self.history, self.settings.patience)
        )

    def validate(self) -> None:
        """Take the loss of the validation batches, if it is time."""
        settings, step = self.settings, len(self.history)
        if settings.validation is None or not settings.is_due(settings.validate_every, step):
            return
        loss = validate(
            self.wrapped, settings.validation, settings.loss, self.world, settings.precision
        )
        self.history.validation_step.append(step)
        self.history.validation_loss.append(loss)

    def ask_callbacks(self) -> None:
        """Each is asked; if one of any process says True, the run is over for all of them."""
        if self.settings.callbacks:
            answers = [call(self.model, self.history) for call in self.settings.callbacks]
            self.is_stopped = bool(self.world.sum(float(any(answers))))

    def save(self) -> None:
        """Write a checkpoint, if it is time; all processes together, though one writes."""
        path = self.settings.path
        is_due = self.settings.is_due(self.settings.checkpoint_every, len(self.history))
        if path is None or not (is_due or self.is_over):
            return
        place = (self.stream.epoch, self.stream.taken)
        scaler = self.scaler.state_dict()
        found = Checkpoint({}, self.history, place, self.configuration, scaler=scaler)
        state.collect(found, self.model, self.optimizers, self.world)
        if self.world.is_first:
            write_checkpoint(path, found)

    @contextmanager
    def training(self) -> Iterator[None]:
        """Dropout is on inside; afterwards modes and rates are as before, and gradients gone."""
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.train()
        try:
            yield
        finally:
            for module, mode in modes:
                module.training = mode
            for group, rate in zip(self._groups(), self.rates, strict=True):
                group["lr"] = rate
            self.model.zero_grad()

    def _set_rates(self, step: int) -> float:
        factor = 1.0 if self.settings.schedule is None else float(self.settings.schedule(step))
        for group, rate in zip(self._groups(), self.rates, strict=True):
            group["lr"] = rate * factor
        return self.rates[0] * factor

    def _groups(self) -> list[dict]:
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]
