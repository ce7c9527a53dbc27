"""A checkpoint: one safetensors file with all that a run needs to go on as if nothing had happened.

Tensors: `model.<name>`, `optimizer.<number>.<parameter>.<key>`, `random.<device>` (the states of
torch's generators, a row for each process) and `history.<column>`. The rest is JSON in the file's
metadata: the place in the batches, the configuration, numbers of the optimizers and of fp16's
scaler. The format holds numbers and text only, so that reading a checkpoint runs nothing.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from underglass.training.files import replace_file
from underglass.training.history import COLUMNS, WHOLE, History

FORMAT = "underglass.training 1"


@dataclass
class Checkpoint:
    """What is in the file.

    Attributes:
        history: its length is the number of steps taken.
        place: (epoch, batches taken from it).
        configuration: what may not change (module `configuration`).
        numbers: of the optimizers' states: those that are not tensors.
        on_cpu: names of the optimizers' tensors that stay on the CPU wherever the model is.
        scaler: the state of fp16's scaler.
    """

    tensors: dict[str, Tensor]
    history: History
    place: tuple[int, int]
    configuration: dict[str, Any]
    numbers: dict[str, Any] = field(default_factory=dict)
    on_cpu: list[str] = field(default_factory=list)
    scaler: dict[str, Any] = field(default_factory=dict)


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write all of it or nothing. Raises OSError if the disk or the folder does not take it."""
    history = checkpoint.history
    columns = {
        f"history.{column}": torch.tensor(
            getattr(history, column), dtype=torch.int64 if column in WHOLE else torch.float64
        )
        for column in COLUMNS
    }
    rest = {
        "format": FORMAT,
        "torch": torch.__version__,
        "name": history.name,
        "place": checkpoint.place,
        "configuration": checkpoint.configuration,
        "numbers": checkpoint.numbers,
        "on_cpu": checkpoint.on_cpu,
        "scaler": checkpoint.scaler,
    }
    content = save(checkpoint.tensors | columns, {"training": json.dumps(rest)})
    replace_file(path, content)


def read_checkpoint(path: Path) -> Checkpoint:
    """What `write_checkpoint` wrote.

    Raises:
        ValueError: if the file is damaged, or something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Copies: the tensors as they come would be windows into the file.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"checkpoint={str(path)!r} is damaged: {error}") from error
    rest = json.loads(metadata.get("training", "{}"))
    if rest.get("format") != FORMAT:
        raise ValueError(
            f"checkpoint={str(path)!r} has the format {rest.get('format')!r}: expected {FORMAT!r}, "
            "a file that fit wrote"
        )
    columns: dict[str, Any] = {
        column: tensors.pop(f"history.{column}").tolist() for column in COLUMNS
    }
    return Checkpoint(
        tensors,
        History(**columns, name=rest["name"]),
        tuple(rest["place"]),
        rest["configuration"],
        rest["numbers"],
        rest["on_cpu"],
        rest["scaler"],
    )
