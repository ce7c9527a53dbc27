"""The files of a checkpoint: found by name, read with mistrust, written whole or not at all."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from underglass import data

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
VOCABULARIES = ["vocab.txt", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"]
WANTED = [CONFIG, WEIGHTS, INDEX, "model-*.safetensors", *VOCABULARIES]
OWN = Path(__file__).parent / "own"  # the models that come with the library
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def checkpoint_folder(name_or_path: str | Path) -> Path:
    """The folder of a checkpoint: a name of ours or of `underglass.data`, a folder, or a hub's."""
    if is_own(name_or_path):
        return OWN / str(name_or_path)
    if str(name_or_path) in _with_weights():
        return data.path(str(name_or_path))
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return folder
    if folder.suffix in PICKLES and folder.is_file():
        raise ValueError(pickle_refusal(folder))
    if folder.is_file():
        raise ValueError(f"name_or_path={str(folder)!r} is a file: expected the folder it lies in")
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", str(name_or_path)):  # as the hub names models
        raise FileNotFoundError(f"name_or_path={str(name_or_path)!r}: there is no such folder")
    if str(name_or_path) in [entry.name for entry in data.sources()]:
        raise FileNotFoundError(
            f"name_or_path={str(name_or_path)!r} is a data set of underglass.data, without "
            f"weights: expected {' or '.join(_with_weights())}, a folder, or a name on a model hub "
            "with its owner, such as 'openai-community/gpt2'"
        )
    return _from_hub(str(name_or_path))


def is_own(name_or_path: str | Path) -> bool:
    """Whether it names a model that comes with the library."""
    return str(name_or_path) in own_names()


def own_names() -> list[str]:
    return sorted(path.parent.name for path in OWN.glob(f"*/{CONFIG}"))


def _with_weights() -> list[str]:
    return [entry.name for entry in data.sources() if CONFIG in entry.files]


def _from_hub(name: str) -> Path:
    known = ", ".join(_with_weights())
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


def pickle_refusal(path: Path) -> str:
    return (
        f"{path} is a pickle, which can run any program when it is read: refused. "
        f"Expected {WEIGHTS}; if you trust the file, convert it with transformers' save_pretrained"
    )


def write_checkpoint(folder: Path, config: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    write_json(folder / CONFIG, config)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", "utf-8")


@contextmanager
def replacing_files(folder: Path) -> Iterator[Path]:
    """An empty folder to write into. If the block succeeds, its files move into `folder`.

    Raises:
        NotADirectoryError: if `folder` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"path={str(folder)!r} is a file: expected a folder")
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".saving-") as temporary:
        yield Path(temporary)
        for file in sorted(Path(temporary).iterdir()):
            file.replace(folder / file.name)
