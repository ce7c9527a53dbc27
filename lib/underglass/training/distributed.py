"""Several processes that train one model: each takes its share of the rows of every batch.

`torchrun --nproc-per-node 2 script.py` starts the processes, and torch does the rest: here is only
what joins them. Either each process holds the whole model and the gradients are averaged
(`DistributedDataParallel`), or each holds a share of every parameter, and fetches the others' when
it needs them (`fully_shard`).

References: Li et al. (2020), "PyTorch Distributed: Experiences on Accelerating Data Parallel
Training", section 3; Zhao et al. (2023), "PyTorch FSDP", section 3.
Chapter: chapters/14_scaling.ipynb
"""

import atexit
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from underglass.training.batches import Batch, tensors, transform


@dataclass(frozen=True)
class World:
    """Which process this is, of how many."""

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def is_first(self) -> bool:
        """The first process writes files and shows progress."""
        return self.rank == 0

    def share(self, batch: Batch) -> tuple[Batch, bool]:
        """This process's rows of the batch, and whether they count.

        Where there are fewer rows than processes, some get a row that another one counts: all must
        take part, for they wait for each other.
        """
        if self.size == 1:
            return batch, True
        rows = _common_rows(batch, self.size)
        mine = torch.arange(rows).tensor_split(self.size)[self.rank].tolist()
        first, end = (mine[0], mine[-1] + 1) if mine else (0, 1)
        return transform(batch, lambda x: x[first:end] if x.ndim else x), bool(mine)

    def sum(self, *numbers: Tensor | float | int) -> Float[Tensor, " _"]:
        """The sum of each number over all processes, on the device: reading it would take time."""
        own = torch.stack([exact(number, self.device) for number in numbers])
        if self.size > 1:
            dist.all_reduce(own)
        return own

    def gather(self, row: Tensor) -> Tensor:
        """Each process's row of bytes, stacked in their order."""
        table = torch.zeros(self.size, *row.shape, dtype=torch.uint8, device=self.device)
        table[self.rank] = row
        if self.size > 1:
            dist.all_reduce(table)
        return table.cpu()


def join(device: torch.device) -> World:
    """The processes that torchrun started, or this one alone."""
    if not dist.is_available():
        return World(device=device)
    if dist.is_torchelastic_launched() and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(_leave)
    if not dist.is_initialized():
        return World(device=device)
    return World(dist.get_rank(), dist.get_world_size(), device)


def wrap(
    model: nn.Module, optimizers: Sequence[Optimizer], world: World, sharded: bool
) -> nn.Module:
    """The model as all processes train it together, beginning with the first one's weights."""
    if world.size == 1:
        return model
    if isinstance(model, FSDPModule):  # from an earlier call
        return model
    if not sharded:
        return DistributedDataParallel(model, gradient_as_bucket_view=True)
    _shard(model, optimizers, world)
    return model


def _shard(model: nn.Module, optimizers: Sequence[Optimizer], world: World) -> None:
    """Cut up each entry of every ModuleList, then the rest: what is fetched, and freed, together.

    The model's parameters become other objects, of which the optimizers must be told.
    """
    names = {param: name for name, param in model.named_parameters()}
    for tensor in [*model.parameters(), *model.buffers()]:
        dist.broadcast(tensor.detach(), src=0)  # each process would keep a share of its own weights
    mesh = init_device_mesh(world.device.type, (world.size,))
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    for block in [block for modules in reversed(lists) for block in modules]:
        fully_shard(block, mesh=mesh)
    # Else a validation would leave the rest whole, and the next gradient of it would be wrong.
    fully_shard(model, mesh=mesh, reshard_after_forward=True)
    shares = dict(model.named_parameters())
    for group in [group for optimizer in optimizers for group in optimizer.param_groups]:
        group["params"] = [shares[names[param]] for param in group["params"]]


def whole(tensor: Tensor) -> Tensor:
    """The tensor with every process's share of it, which all must ask for together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def shared_like(tensor: Tensor, param: Tensor) -> Tensor:
    """This process's share of a whole tensor, cut as `param` is cut."""
    if not isinstance(param, DTensor) or tensor.shape != param.shape:
        return tensor
    return distribute_tensor(tensor, param.device_mesh, param.placements, src_data_rank=None)


def _common_rows(batch: Batch, size: int) -> int:
    lengths = sorted({len(tensor) for tensor in tensors(batch) if tensor.ndim})
    if len(lengths) != 1 or lengths[0] == 0:
        raise ValueError(
            f"batches holds tensors of {lengths} rows: expected one number of rows, to be divided "
            f"over {size} processes"
        )
    return lengths[0]


def exact(number: Tensor | float | int, device: torch.device) -> Tensor:
    """The number in the widest type that the device has, to be added up in."""
    widest = torch.float32 if device.type == "mps" else torch.float64
    return torch.as_tensor(number, device=device).detach().to(widest)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
