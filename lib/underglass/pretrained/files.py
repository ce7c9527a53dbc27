"""The files of a checkpoint: found by name, read with nothing taken on trust, written whole or not.

safetensors holds numbers only. A pickle holds a program, and reading it runs the program: refused.
"""

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from underglass import data

CONFIG, WEIGHTS = "config.json", "model.safetensors"
WANTED = [CONFIG, WEIGHTS, "vocab.txt", "tokenizer.json", "tokenizer_config.json"]
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def checkpoint_folder(name_or_path: str | Path) -> Path:
    """The folder of a checkpoint: a name of `underglass.data`, a folder, or a name on the hub."""
    if name_or_path in [entry.name for entry in data.sources()]:
        return data.path(str(name_or_path))
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return folder
    if folder.suffix in PICKLES and folder.is_file():
        raise ValueError(_pickle(folder))
    if folder.is_file():
        raise ValueError(f"name_or_path={str(folder)!r} is a file: expected the folder it lies in")
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", str(name_or_path)):  # as the hub names models
        raise FileNotFoundError(f"name_or_path={str(name_or_path)!r}: there is no such folder")
    return _from_hub(str(name_or_path))


def _from_hub(name: str) -> Path:
    known = ", ".join(entry.name for entry in data.sources())
    unknown = f"name_or_path={name!r} is not a folder and not one of underglass.data ({known})"
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise FileNotFoundError(
            f"{unknown}; to look for it on a model hub, install huggingface_hub"
        ) from error
    try:
        return Path(snapshot_download(name, allow_patterns=WANTED))
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise FileNotFoundError(
            f"{unknown}, and the model hub has not got it ({reason})"
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no {path}: expected a checkpoint's folder") from error
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}: expected a JSON object")
    return content


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name."""
    if not path.is_file():
        pickles = [other for other in sorted(path.parent.iterdir()) if other.suffix in PICKLES]
        if pickles:
            raise ValueError(_pickle(pickles[0]))
        raise FileNotFoundError(f"there is no {path}: expected a checkpoint's folder")
    try:
        return load_file(path)
    except SafetensorError as error:
        with path.open("rb") as file:
            start = file.read(4)
        if start == b"PK\3\4" or start[:1] == b"\x80":  # how torch.save's and plain pickles begin
            raise ValueError(_pickle(path)) from error
        raise ValueError(
            f"{path} ({path.stat().st_size} bytes) is not a whole safetensors file: {error}. "
            "Fetch or save it again"
        ) from error


def _pickle(path: Path) -> str:
    return (
        f"{path} is a pickle, which can run any program when it is read: refused. "
        f"Expected {WEIGHTS}; if you trust the file, convert it with transformers' save_pretrained"
    )


def write_checkpoint(
    folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    """Write both files under temporary names, and rename them once both are whole."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"path={str(folder)!r} is a file: expected a folder")
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        weights_file = stack.enter_context(_renamed_at_the_end(folder / WEIGHTS))
        config_file = stack.enter_context(_renamed_at_the_end(folder / CONFIG))
        save_file(dict(tensors), weights_file, metadata={"format": "pt"})
        config_file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")


@contextmanager
def _renamed_at_the_end(path: Path) -> Iterator[Path]:
    """A new file in the same folder, which takes the place of `path` if the block succeeds."""
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
