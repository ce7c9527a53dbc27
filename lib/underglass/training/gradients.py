"""The gradient of one step: of one batch, or of several that count as one large batch.

The mean over everything is wanted. Where batches count different numbers of tokens, the mean of
their means is another number: so the sums are added up, and divided once, by the whole count.
"""

import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.parallel import DistributedDataParallel

from underglass.optimizers import foreach
from underglass.training.batches import Batch, Loss, num_elements, num_rows, transform
from underglass.training.distributed import World, exact, whole

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class NonFiniteError(FloatingPointError):
    """The loss, or a gradient, is infinite or not a number; the step was not taken.

    Attributes:
        step: the number of the step, 1 for the first.
        loss: its loss.
        parameter: the first parameter, in the model's order, whose gradient is not finite, or None.
    """

    def __init__(self, step: int, loss: float, norm: float, parameter: str | None) -> None:
        self.step, self.loss, self.parameter = step, loss, parameter
        where = f"first of {parameter}" if parameter else f"of none, but its length is {norm}"
        super().__init__(
            f"step {step}: loss {loss}, and the gradient is not finite ({where}). The step was not "
            "taken: look at its batch, or try a lower rate, a longer warm-up, or max_norm"
        )


@dataclass(frozen=True)
class Weighed:
    """What a loss returned: its value, and how much that counts.

    Attributes:
        value: a mean, or a sum over `count`.
        tokens: what the number of tokens per second counts.
    """

    value: Tensor
    count: Tensor | float
    is_mean: bool
    tokens: Tensor | float

    @property
    def sum(self) -> Tensor:
        return exact(self.value, self.value.device) * self.count if self.is_mean else self.value

    def share_of(self, count: Tensor) -> Tensor:
        """The sum divided by `count`."""
        if self.is_mean:
            return self.value * (self.count / count).to(self.value.dtype)
        return self.value / count.to(self.value.dtype)


def add_gradients(
    model: nn.Module,
    batches: Sequence[Batch],
    loss: Loss,
    world: World,
    precision: str | None,
    scaler: GradScaler,
) -> tuple[float, float]:
    """grad Σ sums / Σ counts, over all batches and processes, added to the parameters' gradients.

    Returns:
        The loss, which is Σ sums / Σ counts, and the number of tokens.
    """
    totals = torch.zeros(3, dtype=torch.float64)
    unit = torch.ones(())
    for index, batch in enumerate(batches):
        is_last = index == len(batches) - 1
        with _quiet(model, is_last):
            own = weigh(model, batch, loss, world, precision)
            counted = world.sum(own.sum, own.count, own.tokens)
            if index == 0:  # the whole count is not known yet: divide by the first one for now
                unit = counted[1].where(counted[1] != 0, 1)
            # The processes' gradients are averaged, and here a sum is wanted: hence their number.
            scaler.scale(own.share_of(unit / world.size)).backward()
        totals = totals.to(counted) + counted
    summed, count, tokens = totals.tolist()
    if len(batches) > 1 and count:
        _scale_gradients(model.parameters(), float(unit) / count)
    return (summed / count if count else summed), tokens


def weigh(
    model: nn.Module, batch: Batch, loss: Loss, world: World, precision: str | None
) -> Weighed:
    """The loss of this process's rows of the batch, and how much it counts.

    Raises:
        TypeError, ValueError: if `loss` returns neither a number nor (sum, count).
    """
    rows, counts = world.share(batch)
    batch = transform(rows, lambda x: x.to(world.device))
    with autocast(world.device, precision):
        result = loss(model, batch)
    value, count = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    check_loss(value, count)
    value = value if value.dtype.itemsize > 2 else value.float()  # 16 bits cannot hold a sum
    share = 1.0 if counts else 0.0
    if count is None:
        return Weighed(value, num_rows(batch) * share, True, num_elements(batch) * share)
    return Weighed(value * share, count * share, False, count * share)


def autocast(device: torch.device, precision: str | None) -> AbstractContextManager[Any]:
    """Products of matrices in 16 bits, sums and norms in 32 (torch has the list)."""
    return torch.autocast(device.type, DTYPES[precision]) if precision else nullcontext()


def check_loss(value: Any, count: Any) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(
            f"loss returned a {type(value).__name__}: expected a tensor with one number, or "
            "(sum, count)"
        )
    if value.ndim or not value.is_floating_point():
        raise ValueError(
            f"loss returned {value.dtype} of shape {tuple(value.shape)}: expected one number, the "
            "mean or (sum, count)"
        )
    if torch.is_grad_enabled() and not value.requires_grad:
        raise ValueError("loss depends on no parameter that can be trained: expected one that does")
    is_number = isinstance(count, (int, float, type(None))) and not isinstance(count, bool)
    if not is_number and not (isinstance(count, Tensor) and count.ndim == 0):
        raise TypeError(f"loss returned the count {count!r}: expected one number")


def gradient_norm(params: Iterable[Tensor]) -> float:
    """√Σ g²: the length of all gradients taken as one vector."""
    gradients = [param.grad for param in params if param.grad is not None]
    return float(whole(torch.nn.utils.get_total_norm(gradients)))


def clip_gradients(params: Iterable[Tensor], norm: float, max_norm: float) -> None:
    """Shorten the gradient to `max_norm` where it is longer; its direction stays."""
    if norm > max_norm:
        _scale_gradients(params, max_norm / (norm + 1e-6))


def check_finite(model: nn.Module, step: int, loss: float, norm: float) -> None:
    """Raises NonFiniteError if the loss or the length of the gradient is not finite."""
    if math.isfinite(loss) and math.isfinite(norm):
        return
    broken = (
        name
        for name, param in model.named_parameters()
        if param.grad is not None and not whole(param.grad).isfinite().all()
    )
    raise NonFiniteError(step, loss, norm, next(broken, None))


def _scale_gradients(params: Iterable[Tensor], factor: float) -> None:
    found = [param.grad for param in params if param.grad is not None]
    if found:
        foreach.mul_(found, factor)


def _quiet(model: nn.Module, is_last: bool) -> AbstractContextManager[Any]:
    """Processes need not tell each other their gradients before the last batch of a step."""
    if isinstance(model, DistributedDataParallel) and not is_last:
        return model.no_sync()
    return nullcontext()
