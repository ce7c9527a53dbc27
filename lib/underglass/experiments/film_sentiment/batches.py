"""Sentences as batches: of like lengths, so that little of a batch is padding."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from underglass.experiments.film_sentiment.reading import Sentence

PAD = 0  # MiniLM's [PAD]
POOL = 25  # so many batches' sentences are sorted by length together


class Batches:
    """Batches of a few sentences, in an order that seed and epoch alone decide.

    Each is a dict: "ids" [batch seq], padded with 0; "labels" [batch]; and "shares" [batch], the
    share of people who found each sentence positive.

    Args:
        rows: sentences in a batch.
        seed: None for the order of their lengths, always the same.
        drop: augmentation: this share of the tokens, others in each epoch, is left out.
    """

    def __init__(
        self, sentences: Sequence[Sentence], rows: int, seed: int | None, drop: float
    ) -> None:
        self.sentences, self.rows, self.seed, self.drop, self.epoch = sentences, rows, seed, drop, 0

    def set_epoch(self, epoch: int) -> None:
        """Each epoch has an order of its own; `fit` says which begins."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.sentences) // self.rows)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        generator = torch.Generator().manual_seed(1_000_003 * (self.seed or 0) + self.epoch)
        for rows in self._order(generator):
            chosen = [self.sentences[row] for row in rows]
            yield {
                "ids": padded([self._shortened(s.ids, generator) for s in chosen]),
                "labels": torch.tensor([s.label for s in chosen]),
                "shares": torch.tensor([s.share for s in chosen]),
            }

    def _order(self, generator: torch.Generator) -> list[list[int]]:
        """Which sentences are together: alike in length within a pool drawn at random."""
        if self.seed is None:
            return _parts(self._by_length(range(len(self.sentences))), self.rows)
        drawn = torch.randperm(len(self.sentences), generator=generator).tolist()
        pools = _parts(drawn, self.rows * POOL)
        batches = [part for pool in pools for part in _parts(self._by_length(pool), self.rows)]
        order = torch.randperm(len(batches), generator=generator).tolist()
        return [batches[place] for place in order]

    def _by_length(self, rows: Sequence[int]) -> list[int]:
        return sorted(rows, key=lambda row: len(self.sentences[row].ids))

    def _shortened(self, ids: tuple[int, ...], generator: torch.Generator) -> tuple[int, ...]:
        if not self.drop:
            return ids
        kept = (torch.rand(len(ids), generator=generator) >= self.drop).tolist()
        inner = (i for i, stays in zip(ids[1:-1], kept[1:-1], strict=True) if stays)
        return ids[0], *inner, ids[-1]


def batches(
    sentences: Sequence[Sentence], rows: int = 32, seed: int | None = None, *, drop: float = 0.0
) -> Batches:
    """The sentences in batches for `fit`, in the order of this seed, another in each epoch.

    Args:
        rows: sentences in a batch.
        seed: None for an order by length that is always the same, for evaluation.
        drop: augmentation: the share of the tokens that is left out, others in each epoch.

    Raises:
        ValueError: if there are no sentences, `rows` is below 1, or `drop` is no share below 1.
    """
    if not sentences:
        raise ValueError("sentences is empty: expected at least one")
    if rows < 1:
        raise ValueError(f"rows={rows}: expected at least 1 sentence in a batch")
    if not 0 <= drop < 1:
        raise ValueError(f"drop={drop}: expected a share from 0 up to, but not including, 1")
    return Batches(sentences, rows, seed, drop)


class Vectors:
    """Vectors that were made once, with their labels, in batches of an order as in `Batches`.

    Args:
        seed: None for the order in which they are.
    """

    def __init__(
        self,
        vectors: Float[Tensor, "batch d_model"],
        labels: Int64[Tensor, " batch"],
        rows: int,
        seed: int | None,
    ) -> None:
        self.vectors, self.labels, self.rows, self.seed, self.epoch = vectors, labels, rows, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Each epoch has an order of its own; `fit` says which begins."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.vectors) // self.rows)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.arange(len(self.vectors))
        if self.seed is not None:
            generator = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
            order = torch.randperm(len(self.vectors), generator=generator)
        return ((self.vectors[rows], self.labels[rows]) for rows in order.split(self.rows))


def padded(ids: Sequence[Sequence[int]]) -> Tensor:
    """The rows as a tensor [batch seq], the shorter ones filled up."""
    longest = max(map(len, ids))
    return torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in ids])


def _parts(rows: Sequence[int], size: int) -> list[list[int]]:
    return [[*rows[start : start + size]] for start in range(0, len(rows), size)]
