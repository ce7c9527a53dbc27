"""Contrastive loss: of a batch of pairs, find for each text the one that belongs to it.

References: van den Oord et al. (2018), "Representation Learning with Contrastive Predictive
Coding", equation 4 (InfoNCE); Radford et al. (2021), "Learning Transferable Visual Models From
Natural Language Supervision" (CLIP), figure 3 (both directions).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from underglass.losses.language import (
    at_least_float32,
    check_above_0,
    check_floating,
    cross_entropy,
)


def info_nce(
    a: Float[Tensor, "batch d_model"], b: Float[Tensor, "batch d_model"], *, temperature: float
) -> Float[Tensor, ""]:
    """-log( exp(s_ii/T) / Σ_j exp(s_ij/T) ), mean over rows i, and over both directions.

    s_ij is the cosine of a_i and b_j. The sum runs over all j: the positive pair i is in it, so
    that the fraction is a probability, and the loss is never below 0.

    Args:
        a, b: vectors of any length (in the sense of their norm); row i of a belongs to row i of b,
            and to no other.
        temperature: T, above 0. The smaller, the more the hardest negatives alone count.

    Raises:
        ValueError: if shapes differ, the batch is empty, or the temperature is not above 0.
        TypeError: if a or b are whole numbers.
    """
    if a.ndim != 2 or a.shape != b.shape or not len(a):
        raise ValueError(
            f"a {tuple(a.shape)}, b {tuple(b.shape)}: expected the same [batch d_model], "
            "batch at least 1"
        )
    check_floating("a", a)
    check_floating("b", b)
    check_above_0("temperature", temperature)
    scores = _unit(a) @ _unit(b).mT / temperature
    pairs = torch.arange(len(a), device=a.device)
    return (cross_entropy(scores, pairs) + cross_entropy(scores.mT, pairs)) / 2


def _unit(x: Tensor) -> Tensor:
    x = at_least_float32(x)
    return x / x.norm(dim=-1, keepdim=True).clamp(min=1e-12)  # a vector of zeros stays one
