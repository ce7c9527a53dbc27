"""The files of a byte-level BPE: tokenizer.json, or GPT-2's vocab.json and merges.txt."""

import json
import uuid
from pathlib import Path
from typing import Any

from underglass.tokenizers.bpe_json import (
    Recipe,
    from_json,
    read_merges,
    read_vocab,
    spell,
    to_json,
    unspell,
)
from underglass.tokenizers.merges import BYTES
from underglass.tokenizers.words import GPT2_PATTERN

TOKENIZER, CONFIG = "tokenizer.json", "tokenizer_config.json"
VOCAB, MERGES = "vocab.json", "merges.txt"


def write(path: Path, recipe: Recipe) -> None:
    """One .json file, or tokenizer.json in folder `path` and what AutoTokenizer needs beside it."""
    content = json.dumps(to_json(recipe), ensure_ascii=False, indent=1)
    if path.suffix == ".json":
        return _write_whole(path, content)
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"path={str(path)!r} is a file: expected a folder, or *.json")
    _write_whole(path / TOKENIZER, content)
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    _write_whole(path / CONFIG, json.dumps(config, indent=1))


def _write_whole(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        temporary.write_text(content + "\n", encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: Path) -> tuple[Recipe, Path]:
    """What the file at `path`, or in the folder `path`, holds; and which file that was."""
    if path.is_file():
        return _read_tokenizer(path), path
    if (path / TOKENIZER).is_file():
        return _read_tokenizer(path / TOKENIZER), path / TOKENIZER
    if (path / VOCAB).is_file() and (path / MERGES).is_file():
        return _read_gpt2(path), path / VOCAB
    found = "is no file and no folder" if not path.is_dir() else "is a folder without them"
    raise FileNotFoundError(
        f"path={str(path)!r} {found}: expected {TOKENIZER}, or {VOCAB} and {MERGES}"
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}: expected a JSON object")
    return content


def _read_gpt2(folder: Path) -> Recipe:
    """As GPT-2 was published. What is in its vocabulary, but made by no merge, is special."""
    ids = read_vocab(_read_json(folder / VOCAB))
    lines = (folder / MERGES).read_text(encoding="utf-8").split("\n")
    merges = read_merges([line for line in lines if line and not line.startswith("#version")])
    made = {*BYTES, *(left + right for left, right in merges)}
    ordinary = {name for token in made if (name := spell(token)) in ids}
    return Recipe(
        {unspell(name): ids[name] for name in ordinary},
        merges,
        {name: i for name, i in ids.items() if name not in ordinary},
        GPT2_PATTERN,
        False,
    )


def _read_tokenizer(path: Path) -> Recipe:
    try:
        return from_json(_read_json(path))
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
