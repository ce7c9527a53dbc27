"""8-bit weights: each row of a matrix as whole numbers from -127 to 127, and one scale.

    rounded, scale = quantize(weight)            # int8, float16
    dequantize(rounded, scale)                   # the weight again, off by half a step at most
    small = quantized(model)                     # the model as it is after that round trip

A row of a linear layer makes one number of the output, a row of a table is one token's vector: each
has numbers of a size of its own, so each has a scale of its own. What computes with the weights
computes in float32 as before: the 8 bits are a way to keep and to send them.

Reference: Jacob et al. (2018), "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", section 2.1 (here symmetric, with zero at zero); Dettmers et al.
(2022), "LLM.int8()", section 2.1 (absmax, a scale for each row).
Chapter: chapters/10_generation.ipynb
"""

from copy import deepcopy
from typing import TypeVar

import torch
from jaxtyping import Float, Float16, Float32, Int8
from torch import Tensor, nn

LARGEST = 127  # -128 stays unused, so that every number has its negative
# The smallest scale that float16 holds with all its digits, 0.00006.
SMALLEST_SCALE = torch.finfo(torch.float16).tiny
Model = TypeVar("Model", bound=nn.Module)


def quantize(
    weight: Float[Tensor, "rows columns"],
) -> tuple[Int8[Tensor, "rows columns"], Float16[Tensor, " rows"]]:
    """round(weight / scale), with scale = max |row| / 127 for each row.

    The scale is rounded to 16 bits before anything is divided by it, so that each number is off by
    half a scale at most. A row of numbers below 0.008 all gets the scale 0.00006.

    Returns:
        The whole numbers, and the scale of each row.

    Raises:
        ValueError: if a number is not finite, or so large that float16 cannot hold the scale.
        TypeError: if the weight is no matrix of floating-point numbers.
    """
    _check(weight)
    peak = weight.detach().float().abs().amax(dim=1)
    scale = (peak / LARGEST).clamp(min=SMALLEST_SCALE).half()
    if not scale.isfinite().all():
        row = int(scale.isfinite().int().argmin())
        raise ValueError(
            f"weight[{row}] reaches {peak[row]:g}: expected finite numbers up to 8 million"
        )
    steps = weight.detach().float() / scale.float()[:, None]
    return steps.round().to(torch.int8), scale


def dequantize(
    rounded: Int8[Tensor, "rows columns"], scale: Float16[Tensor, " rows"]
) -> Float32[Tensor, "rows columns"]:
    """rounded * scale: the weight that the 8 bits stand for."""
    return rounded.float() * scale.float()[:, None]


def quantized(model: Model) -> Model:
    """A copy of the model whose every matrix and table was rounded to 8 bits and back.

    What has one axis only, biases and norms, stays as it is: it is few numbers, and each counts.

    Raises:
        ValueError: if a weight is not finite, or too large: see `quantize`.
    """
    copy = deepcopy(model)
    with torch.no_grad():
        for param in copy.parameters():  # a table that serves twice comes once
            if param.ndim == 2:
                param.copy_(dequantize(*quantize(param)))
    return copy


def _check(weight: Tensor) -> None:
    if not isinstance(weight, Tensor) or not weight.is_floating_point():
        kind = weight.dtype if isinstance(weight, Tensor) else type(weight).__name__
        raise TypeError(f"weight is {kind}: expected a tensor of floating-point numbers")
    if weight.ndim != 2 or 0 in weight.shape:
        raise ValueError(f"weight has shape {tuple(weight.shape)}: expected [rows columns]")
