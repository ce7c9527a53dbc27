"""Validation: the loss on texts that are not trained on, and when to stop for its sake."""

from collections.abc import Iterable

import torch
from torch import nn

from underglass.models.parts import evaluating
from underglass.training.batches import Batch, Loss, begin
from underglass.training.distributed import World
from underglass.training.gradients import weigh
from underglass.training.history import History


@torch.no_grad()
def validate(
    model: nn.Module, batches: Iterable[Batch], loss: Loss, world: World, precision: str | None
) -> float:
    """Σ sums / Σ counts of the loss over all batches, with dropout off.

    Nothing of the training changes, not even the random numbers that it will draw.
    """
    totals = torch.zeros(2, dtype=torch.float64)
    devices = [world.device] if world.device.type == "cuda" else []
    with evaluating(model), torch.random.fork_rng(devices):
        for batch in begin(batches, 0):
            own = weigh(model, batch, loss, world, precision)
            counted = world.sum(own.sum, own.count)
            totals = totals.to(counted) + counted
    summed, count = totals.tolist()
    return summed / count if count else summed


def has_stalled(history: History, patience: int | None) -> bool:
    """Whether the last `patience` validations brought no loss below the best one before them."""
    losses = history.validation_loss
    if patience is None or len(losses) <= patience:
        return False
    return min(losses[-patience:]) >= min(losses[:-patience])
