"""How a run begins: anew, or where its checkpoint says."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from underglass.training import checks, distributed, state
from underglass.training.batches import Batch, Stream, check_batches
from underglass.training.checkpoint import Checkpoint, read_checkpoint
from underglass.training.configuration import (
    Json,
    describe_model,
    describe_optimizer,
    differences,
)
from underglass.training.distributed import World
from underglass.training.files import check_writable
from underglass.training.history import History
from underglass.training.run import Run
from underglass.training.settings import Settings


def start(
    model: nn.Module,
    batches: Iterable[Batch],
    optimizers: Sequence[Optimizer],
    settings: Settings,
) -> Run:
    """The run as it stands before its next step. Everything that can be refused is refused here."""
    first_batch = check_batches("batches", batches)
    if settings.validation is not None:
        check_batches("validation", settings.validation)
    world = distributed.join(next(model.parameters()).device)
    checks.check_sharded(settings.sharded, settings.precision, optimizers, world.size)
    own = {
        "model": describe_model(model),
        "optimizer": [describe_optimizer(each, model) for each in optimizers],
        "first_batch": first_batch,
        "device": world.device.type,
        "processes": world.size,
    }
    saved = None if settings.path is None else _resumed(settings.path, own, settings, world)
    run = Run(
        model=model,
        wrapped=distributed.wrap(model, optimizers, world, settings.sharded),
        optimizers=optimizers,
        stream=Stream(batches, *(saved.place if saved else (0, 0))),
        settings=settings,
        world=world,
        scaler=GradScaler(world.device.type, enabled=settings.precision == "fp16"),
        configuration=own | settings.describe(),
        history=saved.history if saved else History(),
    )
    if saved is not None:
        state.restore(saved, model, optimizers, world)
        run.scaler.load_state_dict(saved.scaler)
        state.restore_generators(saved, world)  # last: the stream may have drawn from them
    return run


def _resumed(path: Path, own: Json, settings: Settings, world: World) -> Checkpoint | None:
    """The checkpoint to go on from, or None where there is none yet."""
    if world.is_first:
        check_writable(path)
    num_found = int(world.sum(float(path.is_file())))
    if num_found == 0:
        return None
    if num_found < world.size:
        raise FileNotFoundError(
            f"checkpoint={str(path)!r} is there for {num_found} of {world.size} processes: "
            "expected a folder that all of them see"
        )
    saved = read_checkpoint(path)
    if found := differences(saved.configuration, own | settings.compared_with(saved.configuration)):
        raise ValueError(
            f"checkpoint={str(path)!r} was written under another configuration: {'; '.join(found)}"
        )
    if len(saved.history) > settings.steps:
        raise ValueError(
            f"steps={settings.steps}: expected at least the {len(saved.history)} that "
            f"checkpoint={str(path)!r} has taken"
        )
    return saved
