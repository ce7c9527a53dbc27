"""How a result differs from the expected one, in words: what `checks.core` says to the reader."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Wide enough for another order of the same sums in float32, too narrow for another formula.
RTOL, ATOL = 1e-4, 1e-5


def difference(
    got: Any, expected: Any, what: str | tuple[str, ...], rtol: float, atol: float
) -> str | None:
    """The first thing that is off, in words: kind, length, shape, dtype, then values."""
    if isinstance(expected, tuple):
        names = (
            what if isinstance(what, tuple) else tuple(f"{what} {i}" for i in range(len(expected)))
        )
        if not isinstance(got, tuple) or len(got) != len(expected):
            return f"expected {len(expected)} results ({', '.join(names)}), got {describe(got)}"
        parts = (
            difference(g, e, name, rtol, atol)
            for g, e, name in zip(got, expected, names, strict=True)
        )
        return next((part for part in parts if part), None)
    if isinstance(expected, Tensor):
        return _tensor_difference(got, expected, str(what), rtol, atol)
    if same(got, expected, rtol, atol):
        return None
    return f"{what}: expected {describe(expected)}, got {describe(got)}"


def _tensor_difference(
    got: Any, expected: Tensor, what: str, rtol: float, atol: float
) -> str | None:
    if not isinstance(got, Tensor):
        return f"{what}: expected a tensor, got {describe(got)}"
    if got.shape != expected.shape:
        return f"{what}: expected shape {tuple(expected.shape)}, got {tuple(got.shape)}"
    if got.dtype != expected.dtype:
        return f"{what}: expected dtype {_dtype(expected)}, got {_dtype(got)}"
    if got.device != expected.device:
        return f"{what}: expected on {expected.device}, got on {got.device}"
    close = torch.isclose(_wide(got), _wide(expected), rtol=rtol, atol=atol, equal_nan=True)
    if close.all():
        return None
    if not expected.shape:
        return f"{what}: expected {describe(expected)}, got {describe(got)}"
    wrong = f"{int((~close).sum())} of {close.numel()} values are off"
    gap = (_wide(got) - _wide(expected)).abs()
    # An infinity or NaN where a number belongs is the largest difference of all.
    worst = int(torch.where(close, -1.0, gap.nan_to_num(math.inf, posinf=math.inf)).argmax())
    at = [int(i) for i in np.unravel_index(worst, expected.shape)]
    wanted, given = (_rounded(t.flatten()[worst].item()) for t in (expected, got))
    return f"{what}: {wrong}, most at {at}: expected {wanted}, got {given}"


def fits(got: Any, mistake: Any, rtol: float, atol: float) -> bool:
    if not callable(mistake):
        return same(got, mistake, rtol, atol)
    try:
        return bool(mistake(got))
    except (
        Exception
    ):  # a predicate meets results of every shape; what it cannot read is not its own
        return False


def same(got: Any, other: Any, rtol: float = RTOL, atol: float = ATOL) -> bool:
    """Equal within tolerance, whatever the dtype; `...` equals anything."""
    if other is ...:
        return True
    if isinstance(other, tuple):
        return (
            isinstance(got, tuple)
            and len(got) == len(other)
            and all(same(g, o, rtol, atol) for g, o in zip(got, other, strict=True))
        )
    if isinstance(other, Tensor):
        if not isinstance(got, Tensor) or got.shape != other.shape:
            return False
        if got.is_meta or other.is_meta:  # no values to compare
            return got.is_meta and other.is_meta
        return torch.allclose(_wide(got), _wide(other), rtol=rtol, atol=atol, equal_nan=True)
    if isinstance(other, float | int) and not isinstance(other, bool):
        try:
            return math.isclose(float(got), other, rel_tol=rtol, abs_tol=atol)
        except (TypeError, ValueError):
            return False
    return bool(type(got) is type(other) and got == other)


def describe(value: object) -> str:
    """A value as it may stand in a sentence: small ones written out, others by kind and shape."""
    if isinstance(value, Tensor):
        if 0 < value.numel() <= 9 and value.device.type != "meta":
            return _rounded(value.tolist())
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, tuple):
        return f"{len(value)} values" if len(value) != 1 else "1 value"
    if isinstance(value, str | int | float | bool | None) or value is ...:
        return repr(value)
    if isinstance(value, list | dict) and len(repr(value)) <= 80:
        return repr(value)
    return f"a {type(value).__name__}"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _wide(tensor: Tensor) -> Tensor:
    widest = torch.complex128 if tensor.is_complex() else torch.float64
    return tensor.detach().cpu().to(widest)


def _rounded(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_rounded(v) for v in value)}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
