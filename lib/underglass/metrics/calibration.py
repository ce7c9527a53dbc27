"""Whether a model that is 80 % sure is right 8 times out of 10.

References: Guo et al. (2017), "On Calibration of Modern Neural Networks", section 2;
Naeini et al. (2015), "Obtaining Well Calibrated Probabilities Using Bayesian Binning".
Chapter: chapters/11_evaluation.ipynb
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Integer
from torch import Tensor


class Reliability(NamedTuple):
    """For each bin of confidences: their mean, the share that was right, and how many there are.

    A bin without examples has 0 everywhere. A reliability diagram draws accuracy over confidence.
    """

    confidence: Float[Tensor, " bin"]
    accuracy: Float[Tensor, " bin"]
    num_examples: Integer[Tensor, " bin"]


def reliability(
    confidences: Tensor | Sequence[float],
    correct: Tensor | Sequence[bool] | Sequence[int],
    *,
    num_bins: int = 15,
) -> Reliability:
    """Bin b holds the confidences in ((b - 1)/B, b/B], b = 1 to B; the first one 0 as well.

    Args:
        confidences: from 0 to 1: the probability of the class that was chosen.
        correct: whether that was the true one.
        num_bins: B; 15 is the paper's.

    Raises:
        ValueError: if shapes differ, nothing is given, or something is out of its range.
    """
    # float64 at once: by way of float32, torch's choice for a list, 0.3 would pass the edge 3/10
    sure = torch.as_tensor(confidences, dtype=torch.float64).detach()
    right = torch.as_tensor(correct).to(sure.device, torch.float64)
    _check(sure, right, num_bins)
    edges = torch.arange(1, num_bins, device=sure.device, dtype=torch.float64) / num_bins
    bins = torch.bucketize(sure, edges)  # an edge belongs to the bin below it
    count = torch.bincount(bins, minlength=num_bins)
    sums = [torch.bincount(bins, weights=x, minlength=num_bins) for x in (sure, right)]
    confidence, accuracy = (total / count.clamp(min=1) for total in sums)
    return Reliability(confidence, accuracy, count)


def calibration_error(
    confidences: Tensor | Sequence[float],
    correct: Tensor | Sequence[bool] | Sequence[int],
    *,
    num_bins: int = 15,
) -> float:
    """Σ_b (n_b / n) |accuracy_b - confidence_b|: how far off, on average, its own estimate is.

    The expected calibration error, from 0 to 1. It rests on the bins: wide ones hide errors that
    cancel, narrow ones hold few examples, whose chance it adds up. Arguments and errors are those
    of `reliability`.
    """
    bins = reliability(confidences, correct, num_bins=num_bins)
    gaps = (bins.accuracy - bins.confidence).abs()
    return ((bins.num_examples * gaps).sum() / bins.num_examples.sum()).item()


def _check(sure: Tensor, right: Tensor, num_bins: int) -> None:
    if sure.ndim != 1 or not len(sure) or sure.shape != right.shape:
        raise ValueError(
            f"confidences has shape {tuple(sure.shape)}, correct {tuple(right.shape)}: "
            "expected two rows of one length, at least 1"
        )
    wrong = sure[~((sure >= 0) & (sure <= 1))]
    if len(wrong):
        raise ValueError(f"confidences holds {wrong[0].item()}: expected numbers from 0 to 1")
    wrong = right[(right != 0) & (right != 1)]
    if len(wrong):
        raise ValueError(f"correct holds {wrong[0].item():g}: expected True or False (1 or 0)")
    if num_bins < 1:
        raise ValueError(f"num_bins={num_bins}: expected at least 1")
