"""The speeches of all years: cleaned, split by year, as token ids; and batches of windows."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor

from underglass import data, losses
from underglass.tokenizers import BPE

VOCAB_SIZE = 3072
END, MASK = "<|endoftext|>", "<|mask|>"  # after each speech; in place of a hidden token
SEQ = 256  # tokens that a model sees at once
EVERY = 10  # of so many years, one is for validation and one for the test
SHORT = 60  # a paragraph of fewer characters, such as "AGRICULTURE", may well occur twice

# What others did in the hall, and the names of speakers that go with it.
NOISES = re.compile(r"\s*\[(Laughter|Applause|Inaudible|Moment of silence)\]")
CUES = re.compile(r"^(Audience members\..*|The President\. )", re.MULTILINE)
STRAIGHT = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")


class Document(NamedTuple):
    """A speech as the models read it."""

    year: int
    text: str


class Split(NamedTuple):
    """Three parts of the speeches that share no year."""

    training: list[Document]
    validation: list[Document]
    test: list[Document]


def clean(text: str) -> str:
    """The words of the speaker alone, with straight quotation marks."""
    text = CUES.sub("", NOISES.sub("", text)).translate(STRAIGHT)
    return "\n\n".join(part.strip() for part in text.split("\n\n") if part.strip())


def without_repeats(texts: Iterable[str]) -> Iterator[str]:
    """The texts, each without the paragraphs that stood in it, or in one before it, already."""
    seen: set[str] = set()
    for text in texts:
        kept = []
        for paragraph in text.split("\n\n"):
            if paragraph not in seen:
                kept.append(paragraph)
            if len(paragraph) >= SHORT:
                seen.add(paragraph)
        yield "\n\n".join(kept)


@cache
def split() -> Split:
    """The speeches by year: every tenth is for validation, and every tenth for the test.

    Years, not speeches, for some years have a spoken message and a written one that says the same.
    """
    speeches = data.load("speeches")
    texts = without_repeats(clean(speech.text) for speech in speeches)
    documents = [Document(s.year, text) for s, text in zip(speeches, texts, strict=True)]
    years = sorted({document.year for document in documents})
    validation, test = {*years[EVERY // 2 - 1 :: EVERY]}, {*years[EVERY - 1 :: EVERY]}
    return Split(
        [d for d in documents if d.year not in validation | test],
        [d for d in documents if d.year in validation],
        [d for d in documents if d.year in test],
    )


@cache
def tokenizer() -> BPE:
    """Byte-level BPE of 3,072 tokens, learned from the training part alone."""
    texts = [document.text for document in split().training]
    return BPE.train(texts, VOCAB_SIZE, special=[END, MASK], fast=True)


@cache
def ids(part: str) -> list[Int64[Tensor, " seq"]]:
    """The ids of each speech of a part, "training", "validation" or "test", each with its end."""
    bpe = tokenizer()
    encode, end = bpe.fast().encode, bpe.special[END]
    return [torch.tensor([*encode(text), end]) for _, text in getattr(split(), part)]


def num_bytes(part: str) -> int:
    """The length of a part in bytes, to which its losses are compared."""
    return sum(len(document.text.encode()) for document in getattr(split(), part))


def windows(part: str, seq: int = SEQ) -> Int64[Tensor, "batch seq"]:
    """All speeches of a part one after the other, cut into rows of `seq` tokens and one more."""
    packed = torch.cat(ids(part))
    return packed[: len(packed) // (seq + 1) * (seq + 1)].view(-1, seq + 1)


@dataclass
class Batches:
    """Rows of text, `rows` a batch, in an order that seed and epoch alone decide.

    Attributes:
        seed: None for the order in which they are.
        hidden: the share of tokens that is hidden, for a masked model: a batch is then a pair
            (corrupted ids, targets) of `losses.mask_tokens`. None for a causal model: the rows.
    """

    windows: Int64[Tensor, "batch seq"]
    rows: int
    seed: int | None
    hidden: float | None = None
    epoch: int = 0

    def set_epoch(self, epoch: int) -> None:
        """Each epoch has an order of its own, and hides other tokens; `fit` says which begins."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.windows) // self.rows)

    def __iter__(self) -> Iterator[Tensor | tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(1_000_003 * (self.seed or 0) + self.epoch)
        order = torch.arange(len(self.windows))
        if self.seed is not None:
            order = torch.randperm(len(order), generator=generator)
        for part in order.split(self.rows):
            rows = self.windows[part]
            yield rows if self.hidden is None else _hide(rows[:, :-1], self.hidden, generator)


def _hide(rows: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    special = tokenizer().special
    return losses.mask_tokens(
        rows,
        mask_id=special[MASK],
        vocab_size=VOCAB_SIZE,
        special_ids=[*special.values()],
        probability=share,
        generator=generator,
    )
