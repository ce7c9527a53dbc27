"""What `fit` refuses before it does any work: each names the argument and what was expected."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from underglass.training.gradients import DTYPES

MOST_LOOKED_AT = 1000  # steps at which a schedule is looked at beforehand
ROUNDING = 1e-12  # a schedule that is level may change by less


def check_model(model: Any) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}: expected a torch.nn.Module")
    if not any(True for _ in model.parameters()):
        raise ValueError("model has no parameters: expected some to train")
    for name, param in model.named_parameters():
        if param.is_meta:
            raise ValueError(f"model has no numbers in {name}: expected a device other than meta")


def as_optimizers(optimizer: Any, model: nn.Module) -> tuple[Optimizer, ...]:
    """One optimizer or several, as a tuple; they train the model, each parameter once."""
    found = (optimizer,) if isinstance(optimizer, Optimizer) else optimizer
    is_sequence = isinstance(found, Sequence) and len(found) > 0
    if not is_sequence or not all(isinstance(each, Optimizer) for each in found):
        raise TypeError(
            f"optimizer is a {type(optimizer).__name__}: expected a torch.optim.Optimizer, or "
            "several in a list"
        )
    seen: set[Tensor] = set()
    for group in [group for each in found for group in each.param_groups]:
        _check_group(group, {*model.parameters()}, seen)
    return tuple(found)


def _check_group(group: dict[str, Any], known: set[Tensor], seen: set[Tensor]) -> None:
    if isinstance(group["lr"], Tensor):
        raise TypeError("optimizer has a tensor as lr: expected a number")
    for index, param in enumerate(group["params"]):
        if param not in known:
            raise ValueError(
                f"optimizer trains params[{index}] {tuple(param.shape)}, which model does not "
                "have: expected model.parameters() or some of them"
            )
        if param in seen:
            raise ValueError(
                f"optimizer trains params[{index}] {tuple(param.shape)}, which another one trains "
                "too: expected each parameter once"
            )
        seen.add(param)


def check_callable(name: str, function: Any) -> None:
    if not callable(function):
        raise TypeError(f"{name} is a {type(function).__name__}: expected a function")


def check_callbacks(callbacks: Any) -> None:
    if not isinstance(callbacks, Sequence):
        raise TypeError(f"callbacks is a {type(callbacks).__name__}: expected a list of functions")
    for index, callback in enumerate(callbacks):
        check_callable(f"callbacks[{index}]", callback)


def check_count(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name}={value!r}: expected a whole number")
    if value < 1:
        raise ValueError(f"{name}={value}: expected at least 1")


def check_schedule(schedule: Any, steps: int) -> None:
    """Every factor is a number of at least 0; warn of a rate that rises again after its fall.

    So does a cosine after its `total_steps`; a schedule with restarts does it on purpose.
    """
    if schedule is None:
        return
    check_callable("schedule", schedule)
    looked_at = [*range(0, steps, max(1, steps // MOST_LOOKED_AT)), steps - 1]
    factors = [float(schedule(step)) for step in looked_at]
    for step, factor in zip(looked_at, factors, strict=True):
        if not 0 <= factor < math.inf:
            raise ValueError(f"schedule({step}) is {factor}: expected a finite number, at least 0")
    if (step := _first_rise_after_a_fall(looked_at, factors)) is not None:
        warnings.warn(
            f"schedule falls, and rises again from step {step} on, but steps={steps}: a cosine "
            "does so beyond its total_steps, where the run should end",
            stacklevel=5,  # the line that calls fit
        )


def _first_rise_after_a_fall(steps: Sequence[int], factors: Sequence[float]) -> int | None:
    has_fallen = False
    for step, before, after in zip(steps[:-1], factors[:-1], factors[1:], strict=True):
        has_fallen = has_fallen or after < before - ROUNDING
        if has_fallen and after > before + ROUNDING:
            return step
    return None


def check_max_norm(max_norm: Any) -> None:
    if max_norm is None:
        return
    if not isinstance(max_norm, (int, float)) or isinstance(max_norm, bool):
        raise TypeError(f"max_norm={max_norm!r}: expected a length, or None")
    if not max_norm > 0:
        raise ValueError(f"max_norm={max_norm}: expected a length above 0, or None")


def check_precision(precision: Any) -> None:
    if precision is not None and precision not in DTYPES:
        raise ValueError(f"precision={precision!r}: expected 'bf16', 'fp16' or None")


def check_patience(patience: Any, validation: Any) -> None:
    if patience is None:
        return
    check_count("patience", patience)
    if validation is None:
        raise ValueError(f"patience={patience} without validation: expected batches to watch")


def check_path(path: Any) -> None:
    if path is not None and not isinstance(path, (str, Path)):
        raise TypeError(f"checkpoint is a {type(path).__name__}: expected the name of a file")


def check_name(name: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"name={name!r}: expected a string")


def check_sharded(
    sharded: bool, precision: str | None, optimizers: Sequence[Optimizer], num_processes: int
) -> None:
    if not sharded:
        return
    if num_processes == 1:
        raise ValueError("sharded=True in one process: expected several, as torchrun starts them")
    if any(optimizer.state for optimizer in optimizers):
        raise ValueError("sharded=True with an optimizer that has taken steps: expected a new one")
    if precision == "fp16":
        raise ValueError("precision='fp16' with sharded=True: expected 'bf16' or None")
