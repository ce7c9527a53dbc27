"""A recipe: how one small GPT is trained; and its run, under one seed."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from underglass import schedules
from underglass.experiments import speeches_gpt
from underglass.experiments.following import follow
from underglass.experiments.speeches_gpt import reading
from underglass.experiments.speeches_gpt.training import CONFIG
from underglass.training import History

SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class Recipe:
    """All that a run of the small GPT depends on, but for its seed.

    Attributes:
        optimizer: its name for `speeches_gpt.optimizer`, and `rate` and `options` with it.
        rows: windows of text in a batch.
        schedule: what the rate does after the warm-up: "constant", or "cosine", down to 0.
        max_norm: the length to which a gradient is clipped, or None.
    """

    optimizer: str
    rate: float
    steps: int
    options: dict[str, Any] = field(default_factory=dict)
    rows: int = 8
    schedule: str = "constant"
    warmup_steps: int = 20
    max_norm: float | None = None
    validate_every: int = 50

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule={self.schedule!r}: expected one of {', '.join(SCHEDULES)}")

    @property
    def first_rate(self) -> float:
        """The rate that a history notes, that of the first group: all have the same."""
        return self.rate

    def factors(self) -> schedules.Schedule:
        """The factor of the rate at each step."""
        if self.schedule == "constant":
            return schedules.constant(warmup_steps=self.warmup_steps)
        return schedules.cosine(self.steps, warmup_steps=self.warmup_steps)

    def run(
        self, seed: int, steps: int | None = None, folder: Path | None = None
    ) -> tuple[History, int | None, dict[str, Any]]:
        """Train a new model on the CPU; the seed decides its initial weights and the batches.

        Args:
            steps: how many of the recipe's steps; all of them unless given.
            folder: for weights that are to be kept: these runs keep none.

        Returns:
            What happened; the step at which the loss or the gradient was no finite number any more,
            or None (that step is not in the history, which ends before it); and what else came of
            it: nothing here.
        """
        model = speeches_gpt.model(seed)
        history, diverged, _ = follow(
            model,
            speeches_gpt.batches(seed, self.rows),
            optimizer=speeches_gpt.optimizer(self.optimizer, model, self.rate, **self.options),
            loss=speeches_gpt.loss,
            steps=steps or self.steps,
            schedule=self.factors(),
            validation=speeches_gpt.validation(),
            validate_every=self.validate_every,
            max_norm=self.max_norm,
        )
        return history, diverged, {}


def task() -> dict[str, Any]:
    """What all recipes have in common, as JSON holds it: the model, the texts and their split."""
    texts = speeches_gpt.texts()
    ids = b"".join(part.numpy().astype("<i8").tobytes() for part in (texts[1], texts[2]))
    return {
        "model": asdict(CONFIG),
        "speeches": f"spoken, from {reading.FIRST_YEAR} on; every {reading.HELD_BACK}th held back",
        "seq": reading.SEQ,
        "training tokens": len(texts.training),
        "validation tokens": len(texts.validation),
        "validation windows": reading.VALIDATION_WINDOWS,
        "ids": hashlib.sha256(ids).hexdigest(),
    }


def hash_of(configuration: dict[str, Any]) -> str:
    """The sha256 of its JSON, whatever the order of the names."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()


def rounded(numbers: list[float], digits: int) -> list[float | None]:
    """To so many significant digits; None where JSON has no number, as in `History.to_dict`."""
    return [float(f"{x:.{digits}g}") if math.isfinite(x) else None for x in numbers]
