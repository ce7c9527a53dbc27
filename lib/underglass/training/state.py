"""The state of a run: out of the model, optimizers and generators, and back into them.

Several processes all call these together; what each holds a share of is whole in a checkpoint.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from underglass.training.checkpoint import Checkpoint
from underglass.training.distributed import World, shared_like, whole


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, each once, though two layers may share it."""
    aliases = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    buffers = {name: x for name, x in model.state_dict().items() if name not in aliases}
    return {**dict(model.named_parameters()), **buffers}


def optimizer_states(
    model: nn.Module, optimizers: Sequence[Optimizer]
) -> Iterator[tuple[str, Tensor, dict[str, Any]]]:
    """For each trained parameter its name in a checkpoint, itself, and what is kept about it."""
    names = {param: name for name, param in model.named_parameters()}
    for index, optimizer in enumerate(optimizers):
        for group in optimizer.param_groups:
            for param in group["params"]:
                yield f"optimizer.{index}.{names[param]}", param, optimizer.state[param]


def collect(
    checkpoint: Checkpoint, model: nn.Module, optimizers: Sequence[Optimizer], world: World
) -> None:
    """Fill the checkpoint with the state of the run; in the first process, for it alone writes."""
    found = {f"model.{name}": tensor for name, tensor in model_tensors(model).items()}
    for prefix, _, state in optimizer_states(model, optimizers):
        for key, value in state.items():
            if not isinstance(value, Tensor):
                checkpoint.numbers[f"{prefix}.{key}"] = value
                continue
            found[f"{prefix}.{key}"] = value
            if value.device.type == "cpu":
                checkpoint.on_cpu.append(f"{prefix}.{key}")
    for name, tensor in found.items():
        complete = whole(tensor.detach())
        if world.is_first:
            checkpoint.tensors[name] = complete.cpu().contiguous()
    for name, state in _generators(world):
        checkpoint.tensors[f"random.{name}"] = world.gather(state)


@torch.no_grad()
def restore(
    checkpoint: Checkpoint, model: nn.Module, optimizers: Sequence[Optimizer], world: World
) -> None:
    """Put the checkpoint's numbers where they came from."""
    for name, tensor in model_tensors(model).items():
        saved = checkpoint.tensors[f"model.{name}"].to(tensor.device)
        tensor.copy_(shared_like(saved, tensor))
    for prefix, param, state in optimizer_states(model, optimizers):
        start = f"{prefix}."
        state.clear()
        for name, tensor in checkpoint.tensors.items():
            if name.startswith(start):
                device = torch.device("cpu") if name in checkpoint.on_cpu else param.device
                state[name.removeprefix(start)] = shared_like(tensor.to(device), param)
        for name, number in checkpoint.numbers.items():
            if name.startswith(start):
                state[name.removeprefix(start)] = number


def restore_generators(checkpoint: Checkpoint, world: World) -> None:
    """Let torch's generators go on where they stood: dropout draws from them."""
    tables = checkpoint.tensors
    # Copies, because torch would read a row of the table from a wrong place.
    torch.set_rng_state(tables["random.cpu"][world.rank].clone())
    if world.device.type == "cuda":
        torch.cuda.set_rng_state(tables["random.cuda"][world.rank].clone(), world.device)


def _generators(world: World) -> Iterator[tuple[str, Tensor]]:
    yield "cpu", torch.get_rng_state()
    if world.device.type == "cuda":
        yield "cuda", torch.cuda.get_rng_state(world.device)
