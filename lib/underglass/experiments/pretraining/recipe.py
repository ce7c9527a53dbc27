"""A recipe: how one model is trained on the speeches from nothing; and its run, under one seed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from underglass import device
from underglass.experiments.following import RisesAndFalls, follow
from underglass.experiments.pretraining import models, scoring
from underglass.experiments.pretraining.reading import Batches, windows
from underglass.training import History

MAX_NORM = 1.0
VALIDATION_WINDOWS = 64  # what the curve is read off: 16,384 tokens, from all over the part
HIDDEN = 0.15  # the share of tokens that a masked model is judged on


@dataclass(frozen=True)
class PretrainingRecipe(RisesAndFalls):
    """All that a run depends on, but for its seed.

    Attributes:
        kind: "gpt", "bert", "plain bert" or "lstm"; `d_model`, `num_layers` and
            `num_heads` are its sizes.
        optimizer: "Muon" (with AdamW for what is no matrix of a block), or "AdamW".
        rows: windows of text in a batch, of 256 tokens each.
        warmup: the share of the steps in which the rate rises; then it falls on a cosine to 0.
        hidden: the share of tokens hidden in training, for a masked model.
        precision: of the products of matrices in training, as in `fit`.
        samples_at: after these steps the model, a GPT, writes a text.
        in_full: judge it on all of validation and test at the end, and keep its weights.

    Raises:
        ValueError: if another model than a GPT is to write.
    """

    kind: str
    d_model: int
    num_layers: int
    num_heads: int
    steps: int
    rate: float
    optimizer: str = "Muon"
    rows: int = 16
    warmup: float = 0.05
    weight_decay: float = 0.1
    dropout: float = 0.0
    hidden: float | None = None
    precision: str | None = "bf16"
    validations: int = 12
    samples_at: Sequence[int] = ()
    in_full: bool = False

    def __post_init__(self) -> None:
        if self.samples_at and self.kind != "gpt":
            raise ValueError(
                f"samples_at={self.samples_at!r} with kind={self.kind!r}: expected 'gpt', "
                "the one kind that writes"
            )

    def model(self, seed: int) -> nn.Module:
        """The model before its first step, on the CPU."""
        return models.model(
            self.kind, self.d_model, self.num_layers, self.num_heads, seed, self.dropout
        )

    def run(
        self, seed: int, steps: int | None = None, folder: Path | None = None
    ) -> tuple[History, int | None, dict[str, Any]]:
        """Train a new model; the seed decides its weights, the batches, and what they hide.

        Args:
            steps: how many of the recipe's steps; all of them unless given.
            folder: where weights go that are to be kept: those of a run that is judged in full.

        Returns:
            What happened; the step at which the loss or the gradient was no finite number any more,
            or None; and what came of it: parameters, seconds of the processor, samples, and
            `in_full` the bits per byte of validation and test, or the share of hidden tokens found.
        """
        torch.manual_seed(seed)  # for the dropout
        model = self.model(seed).to(device())
        watch = _Watch(self.samples_at)
        history, diverged, seconds = follow(
            model,
            Batches(windows("training"), self.rows, seed, self.hidden),
            optimizer=models.optimizer(self.optimizer, model, self.rate, self.weight_decay),
            loss=models.loss,
            steps=steps or self.steps,
            schedule=self.factors(),
            validation=self.validation(),
            validate_every=self.validate_every,
            max_norm=MAX_NORM,
            precision=self.precision,
            callbacks=[watch],
        )
        outcome: dict[str, Any] = {
            "parameters": sum(p.numel() for p in model.parameters()),
            "seconds": round(seconds - watch.seconds, 1),
            "samples": watch.samples,
        }
        if self.in_full and diverged is None and steps is None:
            outcome |= scoring.judge(model)
            if folder is not None:
                scoring.keep(model, folder / self.kind)
        return history, diverged, outcome

    def validation(self) -> Batches:
        """Windows from all over the validation part; always the same, and so is what is hidden."""
        rows = windows("validation")
        spread = torch.arange(VALIDATION_WINDOWS) * len(rows) // VALIDATION_WINDOWS
        return Batches(rows[spread], 16, None, None if self.hidden is None else HIDDEN)


class _Watch:
    """Writes a sample after some steps, and counts the processor's seconds that it takes."""

    def __init__(self, steps: Sequence[int]) -> None:
        self.steps, self.samples, self.seconds = steps, dict[str, str](), 0.0

    def __call__(self, model: nn.Module, history: History) -> None:
        step = history.step[-1]
        if step in self.steps:
            started = time.process_time()
            self.samples[str(step)] = scoring.sample(model)
            self.seconds += time.process_time() - started
