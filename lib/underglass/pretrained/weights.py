"""The tensors of a checkpoint: from model.safetensors, or from the shards that an index lists.

A large model is published in pieces, such as model-00001-of-00004.safetensors, and
model.safetensors.index.json says which piece holds which tensor. The files are mapped into memory,
not copied: a page of one is read when its numbers are asked for.

safetensors holds numbers only. A pickle holds a program, and reading it runs the program: refused.
"""

from pathlib import Path, PureWindowsPath

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from underglass.pretrained.files import INDEX, PICKLES, WEIGHTS, pickle_refusal, read_json


def read_weights(folder: Path) -> tuple[dict[str, Tensor], Path]:
    """The tensors by name, and the file that an error about them should name.

    Where there is both one file and an index, the one file counts, as in transformers.
    """
    single, index = folder / WEIGHTS, folder / INDEX
    if single.is_file():
        return read_file(single), single
    if index.is_file():
        return _read_shards(index), index
    pickles = [path for path in sorted(folder.iterdir()) if path.suffix in PICKLES]
    if pickles:
        raise ValueError(pickle_refusal(pickles[0]))
    raise FileNotFoundError(
        f"there is no {single}, and no {INDEX} either: expected a checkpoint's folder"
    )


def read_file(path: Path) -> dict[str, Tensor]:
    """The tensors of one safetensors file, by name."""
    try:
        return load_file(path)
    except SafetensorError as error:
        with path.open("rb") as file:
            start = file.read(4)
        if start == b"PK\3\4" or start[:1] == b"\x80":  # how torch.save's and plain pickles begin
            raise ValueError(pickle_refusal(path)) from error
        raise ValueError(
            f"{path} ({path.stat().st_size} bytes) is not a whole safetensors file: {error}. "
            "Fetch or save it again"
        ) from error


def _read_shards(index: Path) -> dict[str, Tensor]:
    """The tensors of all shards, which are exactly those that the index lists."""
    places = _read_index(index)
    tensors: dict[str, Tensor] = {}
    for shard in sorted(set(places.values())):
        path = index.parent / shard
        if not path.is_file():
            raise FileNotFoundError(f"there is no {path}, which {index} lists: fetch it again")
        for name, tensor in read_file(path).items():
            if places.get(name) != shard:
                other = f"to be in {places[name]}" if name in places else "to be nowhere"
                raise ValueError(f"{path} holds {name}, which {index} says {other}")
            tensors[name] = tensor
    missing = sorted(places.keys() - tensors.keys())
    if missing:
        shard = index.parent / places[missing[0]]
        raise ValueError(f"{shard} does not hold {missing[0]}, which {index} says it does")
    return tensors


def _read_index(index: Path) -> dict[str, str]:
    """For each tensor the file that it is in, which must lie beside the index."""
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ValueError(f"{index}: weight_map={places!r}: expected the file of each tensor")
    for name, shard in places.items():
        # An index is a stranger's text: it must not make us read files elsewhere on this machine.
        # A Windows path knows both kinds of slashes, and drives.
        if not isinstance(shard, str) or PureWindowsPath(shard).name != shard:
            raise ValueError(
                f"{index}: {name} is said to be in {shard!r}: expected a file of its folder"
            )
        if not shard.endswith(".safetensors"):
            raise ValueError(
                f"{index}: {name} is said to be in {shard!r}: expected a safetensors file"
            )
    return places
