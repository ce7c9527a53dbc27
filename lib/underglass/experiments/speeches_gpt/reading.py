"""The speeches as token ids, split by speech, and batches of them."""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor

from underglass import data
from underglass.tokenizers import BPE

FIRST_YEAR = 1961  # 0.8 million tokens from here on: enough for a chapter, and soon encoded
HELD_BACK = 10  # one speech in so many is for validation
VOCAB_SIZE = 512
SEQ = 64  # tokens that the model sees at once
END = "<|endoftext|>"  # after each speech
VALIDATION_WINDOWS = 128


class Texts(NamedTuple):
    """The tokenizer, and the token ids of both parts of the speeches, each speech with its end."""

    tokenizer: BPE
    training: Int64[Tensor, " seq"]
    validation: Int64[Tensor, " seq"]


@cache
def texts() -> Texts:
    """The tokenizer and the ids: `.tokenizer`, `.training`, `.validation`.

    Made in about two seconds; a second call costs nothing. Speeches held back for validation teach
    neither the model nor the tokenizer. Only speeches that were spoken are here: some years have a
    written message too, which says much of the same again.
    """
    speeches = [
        speech.text
        for speech in data.load("speeches")
        if speech.year >= FIRST_YEAR and speech.spoken and speech.annual
    ]
    held_back = speeches[HELD_BACK - 1 :: HELD_BACK]
    others = [speech for number, speech in enumerate(speeches, 1) if number % HELD_BACK]
    bpe = BPE.train(others, VOCAB_SIZE, special=[END], fast=True)
    return Texts(bpe, _ids(bpe, others), _ids(bpe, held_back))


def _ids(bpe: BPE, speeches: list[str]) -> Tensor:
    encode, end = bpe.fast().encode, bpe.special[END]
    return torch.tensor([i for speech in speeches for i in [*encode(speech), end]])


class Batches:
    """Windows of the text, `rows` a batch, in an order that seed and epoch alone decide.

    Args:
        seed: None for the order in which they are.
    """

    def __init__(self, windows: Int64[Tensor, "batch seq"], rows: int, seed: int | None) -> None:
        self.windows, self.rows, self.seed, self.epoch = windows, rows, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Each epoch has an order of its own; `fit` says which begins."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.windows) // self.rows)

    def __iter__(self) -> Iterator[Int64[Tensor, "batch seq"]]:
        order = torch.arange(len(self.windows))
        if self.seed is not None:
            generator = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
            order = torch.randperm(len(self.windows), generator=generator)
        return (self.windows[part] for part in order.split(self.rows))


def batches(seed: int, rows: int = 8) -> Batches:
    """All windows of the training speeches, in the order of this seed, another in each epoch.

    Args:
        rows: windows in a batch; each has 64 tokens, and the one that comes after them.

    Raises:
        ValueError: if `rows` is below 1.
    """
    if rows < 1:
        raise ValueError(f"rows={rows}: expected at least 1 window in a batch")
    return Batches(_windows(texts().training), rows, seed)


def validation() -> Batches:
    """Windows from all over the speeches held back, 8,192 tokens; always the same."""
    windows = _windows(texts().validation)
    spread = torch.arange(VALIDATION_WINDOWS) * len(windows) // VALIDATION_WINDOWS
    return Batches(windows[spread], rows=32, seed=None)


def _windows(ids: Tensor) -> Tensor:
    return ids[: len(ids) // (SEQ + 1) * (SEQ + 1)].view(-1, SEQ + 1)
