"""What the metrics of classes take: those that a model chose, and the true ones."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Integer
from torch import Tensor

Labels = Tensor | Sequence[Any]  # classes, numbered from 0: a tensor or (nested) lists


def paired(
    predictions: Labels, targets: Labels, ignore_index: int | None
) -> tuple[Integer[Tensor, " example"], Integer[Tensor, " example"]]:
    """Both as one row of numbers, without the places whose target is `ignore_index`.

    Raises:
        TypeError: if one of them does not hold whole numbers.
        ValueError: if their shapes differ, a class is negative, or there is nothing to count.
    """
    true = _whole("targets", targets)
    chosen = _whole("predictions", predictions).to(true.device)
    if chosen.shape != true.shape:
        raise ValueError(
            f"predictions has shape {tuple(chosen.shape)}, targets {tuple(true.shape)}: "
            "expected one prediction for each target"
        )
    counted = torch.full_like(true, True, dtype=torch.bool)
    if ignore_index is not None:
        counted = true != ignore_index
    chosen, true = chosen[counted], true[counted]
    if not len(true):
        raise ValueError(
            f"targets has {counted.numel()} places, and none that counts "
            f"(ignore_index={ignore_index}): expected at least one"
        )
    for name, classes in (("predictions", chosen), ("targets", true)):
        if classes.min() < 0:
            raise ValueError(
                f"{name} holds {int(classes.min())}: expected classes, numbered from 0; a target "
                "that is not to count is named by ignore_index"
            )
    return chosen, true


def _whole(name: str, labels: Labels) -> Integer[Tensor, "..."]:
    """As int64; yes and no (booleans) are classes 1 and 0."""
    numbers = torch.as_tensor(labels)
    if not numbers.numel():  # torch takes an empty list for floating-point numbers
        return numbers.long()
    if numbers.is_floating_point() or numbers.is_complex():
        raise TypeError(
            f"{name} holds {numbers.dtype}: expected classes, whole numbers "
            "(the class with the largest logit is logits.argmax(-1))"
        )
    return numbers.long()
