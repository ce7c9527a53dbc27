"""Readers for numbers: a checkpoint's tensors, word vectors, and GPT-2's byte pairs."""

import base64
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from .errors import DataError


def read_minilm(folder: Path) -> dict[str, Any]:
    """The checkpoint's tensors by name, as they lie in it; `pretrained.load` makes a model."""
    from safetensors.torch import load_file  # here, since importing this module needs no torch

    return load_file(folder / "model.safetensors")


def read_gpt2(folder: Path) -> dict[bytes, int]:
    """The byte strings that GPT-2 has tokens for -> their ranks, which are its ids."""
    lines = (folder / "gpt2.tiktoken").read_bytes().splitlines()
    pairs = (line.split() for line in lines)
    return {base64.b64decode(token): int(rank) for token, rank in pairs}


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Words, from the most frequent on, and one row of numbers for each."""

    words: tuple[str, ...]
    vectors: Float[np.ndarray, "vocab_size d_model"]


def read_glove(folder: Path) -> WordVectors:
    """GloVe's words and vectors; the list of words is a parquet file, which pyarrow reads.

    Raises:
        DataError: if pyarrow is not installed.
    """
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise DataError(
            "data 'glove' keeps its words in a parquet file: run `pip install pyarrow` to read it"
        ) from error
    words = parquet.read_table(folder / "glove_6B_index.parquet", columns=["index"])
    vectors = np.load(folder / "glove_6B_50d_emb.npy", allow_pickle=False)
    return WordVectors(tuple(words.column("index").to_pylist()), vectors)
