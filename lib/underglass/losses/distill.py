"""Distillation: a small model learns from all the probabilities of a large one.

Reference: Hinton, Vinyals and Dean (2015), "Distilling the Knowledge in a Neural Network",
section 2.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from underglass.losses.language import (
    at_least_float32,
    check_above_0,
    check_floating,
    check_mask,
    log_sum_exp,
)


def distillation(
    student: Float[Tensor, "*batch vocab_size"],
    teacher: Float[Tensor, "*batch vocab_size"],
    *,
    temperature: float,
    mask: Bool[Tensor, "*batch"] | None = None,
) -> Float[Tensor, ""]:
    """T² KL(p ‖ q) with p = softmax(teacher / T), q = softmax(student / T): mean over positions.

    A temperature above 1 flattens both, and shows what the teacher thinks of the unlikely tokens.
    It also shrinks the gradients by about 1/T²: the factor makes up for that, so that the sum with
    a cross-entropy keeps its balance when T is changed.

    Args:
        student, teacher: logits. No gradient flows to the teacher.
        temperature: T, above 0.
        mask: True where a position counts; padding should not.

    Raises:
        ValueError: if shapes do not go together, or the temperature is not above 0.
        TypeError: if logits are whole numbers, or the mask is not boolean.
    """
    _check(student, teacher, mask)
    check_above_0("temperature", temperature)
    q = _log_softmax(student, temperature)
    p = _log_softmax(teacher.detach(), temperature)
    divergence = (p.exp() * (p - q)).sum(dim=-1)
    if mask is None:
        mask = torch.ones_like(divergence, dtype=torch.bool)
    mean = divergence.where(mask, 0.0).sum() / mask.sum().clamp(min=1)
    return temperature**2 * mean


def _log_softmax(logits: Tensor, temperature: float) -> Tensor:
    scaled = at_least_float32(logits) / temperature
    return scaled - log_sum_exp(scaled)[..., None]


def _check(student: Tensor, teacher: Tensor, mask: Tensor | None) -> None:
    check_floating("student", student)
    check_floating("teacher", teacher)
    if student.shape != teacher.shape or not student.ndim or not student.shape[-1]:
        raise ValueError(
            f"student {tuple(student.shape)}, teacher {tuple(teacher.shape)}: "
            "expected the same [*batch vocab_size]"
        )
    if mask is not None:
        check_mask(mask, student.shape[:-1])
