"""What a run is: all that its numbers depend on, as JSON, so that two runs can be compared.

A run that goes on under another configuration would be neither the one nor the other. What is
compared: the model's class, configuration and parameters, the optimizers' classes and options, the
name of the loss, the first batch, the schedule, accumulation, clipping, precision, the kind of
device and the number of processes. What may change, because no step depends on it: the number of
steps (if the schedule agrees), validation, patience, callbacks, how often to save, progress, and
sharding.
"""

import functools
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer

from underglass.schedules import Schedule

Json = dict[str, Any]
NUM_COMPARED = 16  # so many steps of two schedules are compared
MOST_SHOWN = 3  # differences of one part of a configuration


def describe_model(model: nn.Module) -> Json:
    config = getattr(model, "config", None)
    return {
        "class": type(model).__qualname__.removeprefix("FSDP"),  # which fully_shard puts there
        "config": _fields(config),
        "parameters": {
            name: f"{_describe_tensor(param)}{'' if param.requires_grad else ', frozen'}"
            for name, param in model.named_parameters()
        },
    }


def describe_optimizer(optimizer: Optimizer, model: nn.Module) -> Json:
    """Its class, and the options and parameters of each group; the rate before a schedule."""
    names = {param: name for name, param in model.named_parameters()}
    groups = [
        {key: _plain(value) for key, value in group.items() if key != "params"}
        | {"params": [names[param] for param in group["params"]]}
        for group in optimizer.param_groups
    ]
    return {"class": type(optimizer).__qualname__, "groups": groups}


def describe_loss(loss: Any) -> str:
    """The name of the function, with the arguments that `functools.partial` fixes."""
    if isinstance(loss, functools.partial):
        fixed = [*map(repr, loss.args), *(f"{key}={loss.keywords[key]!r}" for key in loss.keywords)]
        return f"{describe_loss(loss.func)}({', '.join(fixed)})"
    return getattr(loss, "__qualname__", type(loss).__qualname__)


def describe_schedule(schedule: Schedule | None, steps: Sequence[int]) -> Json | None:
    """Its factors at these steps: functions cannot be compared, their values can."""
    return None if schedule is None else {str(step): float(schedule(step)) for step in steps}


def compared_steps(steps: int) -> list[int]:
    """A few steps of a run, from the first to the last."""
    return sorted({index * (steps - 1) // NUM_COMPARED for index in range(NUM_COMPARED + 1)})


def differences(saved: Json, present: Json) -> list[str]:
    """What is not the same: where, what was saved, what is now; of each part the first few."""
    lines = []
    for part in {**saved, **present}:
        old, new = _flat(saved.get(part), part), _flat(present.get(part), part)
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        shown = names[:MOST_SHOWN]
        lines += [f"{n}: saved {old.get(n)!r}, present {new.get(n)!r}" for n in shown]
        if len(names) > len(shown):
            lines.append(f"and {len(names) - len(shown)} more of {part}")
    return lines


def _flat(value: Any, name: str = "") -> Json:
    """{"model": {"class": "GPT"}} -> {"model.class": "GPT"}, and lists by their numbers."""
    if isinstance(value, list):
        value = {str(index): part for index, part in enumerate(value)}
    if not isinstance(value, dict):
        return {name: value}
    prefix = f"{name}." if name else ""
    return {k: v for key, part in value.items() for k, v in _flat(part, f"{prefix}{key}").items()}


def _fields(config: Any) -> Json | None:
    if is_dataclass(config) and not isinstance(config, type):
        return _plain(asdict(config))
    return None


def _describe_tensor(tensor: Any) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _plain(value: Any) -> Any:
    """As JSON gives it back: tuples become lists, and what it does not know becomes text."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(part) for part in value]
    return value if isinstance(value, (str, int, float, type(None))) else repr(value)
