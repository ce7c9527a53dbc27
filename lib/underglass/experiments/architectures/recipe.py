"""A recipe: how one small decoder is trained; and its run, under one seed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from underglass import device, optimizers
from underglass.experiments import speeches_gpt
from underglass.experiments.architectures.decoder import Decoder, Design, flops
from underglass.experiments.following import RisesAndFalls, follow
from underglass.training import History

MAX_NORM = 1.0
DECAY = 0.1


@dataclass(frozen=True)
class ArchitectureRecipe(RisesAndFalls):
    """All that a run depends on, but for its seed.

    Attributes:
        design: the fields of a `Design` in which it differs from that of 2017.
        rows: windows of text in a batch, of 64 tokens each.
        warmup: the share of the steps in which the rate rises; then it falls on a cosine to 0.
    """

    rate: float
    steps: int
    design: dict[str, Any] = field(default_factory=dict)
    rows: int = 16
    warmup: float = 0.1
    validations: int = 4

    def run(
        self, seed: int, steps: int | None = None, folder: Path | None = None
    ) -> tuple[History, int | None, dict[str, Any]]:
        """Train a new decoder; the seed decides its weights and the batches.

        Args:
            steps: how many of the recipe's steps; all of them unless given.
            folder: for weights that are to be kept: these runs keep none.

        Returns:
            What happened; the step at which the loss or the gradient was no finite number any more,
            or None; and what came of it: parameters, flops of a token, seconds of the processor.
        """
        design = Design(**self.design)
        model = Decoder(design, seed).to(device())
        history, diverged, seconds = follow(
            model,
            speeches_gpt.batches(seed, self.rows),
            optimizer=optimizers.AdamW(model.parameters(), lr=self.rate, weight_decay=DECAY),
            loss=speeches_gpt.loss,
            steps=steps or self.steps,
            schedule=self.factors(),
            validation=speeches_gpt.validation(),
            validate_every=self.validate_every,
            max_norm=MAX_NORM,
        )
        outcome = {
            "parameters": sum(p.numel() for p in model.parameters()),
            "flops": flops(model, design.max_len),
            "seconds": round(seconds, 1),
        }
        return history, diverged, outcome
