"""Where has a text been before? The longest run of its tokens that also stands in other texts.

References: Manber and Myers (1993), "Suffix Arrays: A New Method for On-Line String Searches"
(the order, and how it is found by doubling); Carlini et al. (2023), "Quantifying Memorization
Across Neural Language Models" (what it is good for).
Chapter: chapters/10_generation.ipynb
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Integer
from torch import Tensor


class Match(NamedTuple):
    """A run of tokens that a text shares with one of the texts searched.

    Attributes:
        length: of the run, in tokens; 0 if not even one is shared.
        start: where it begins in the text that was asked about.
        text: the number of the text that it was found in.
        place: where it begins there.
    """

    length: int
    start: int
    text: int
    place: int


class TextIndex:
    """All places of some texts, in the alphabetical order of what stands there.

    What begins alike stands together, as in a dictionary. So what matches a text furthest is beside
    the row at which the text itself would have to be put in, and bisection finds that row.

    Args:
        texts: the ids of each text, a list or a tensor.
        depth: so many tokens decide the order; no longer match is told from one of this length.

    Raises:
        ValueError: if there is no token, an id is below 0, or `depth` is below 1.
        TypeError: if ids are not whole numbers.
    """

    def __init__(self, texts: Sequence[Sequence[int] | Tensor], *, depth: int = 128) -> None:
        if depth < 1:
            raise ValueError(f"depth={depth}: expected at least 1")
        rows = [_ids(f"texts[{number}]", text) for number, text in enumerate(texts)]
        if not sum(map(len, rows)):
            raise ValueError("texts have no token: expected at least one")
        end = torch.tensor([0])  # after each text, and less than any token, which count from 1
        self.depth = depth
        self.begins = torch.tensor([0, *(len(row) + 1 for row in rows)]).cumsum(0).tolist()
        ids = torch.cat([part for row in rows for part in (row + 1, end)])
        # In NumPy: to take a few numbers out of an array costs it a tenth of what it costs torch.
        self.ids, self.order = ids.numpy(), _order(ids, depth).numpy()

    def match(self, ids: Sequence[int] | Tensor) -> Match:
        """The longest run that the first tokens of `ids` begin."""
        wanted = (_ids("ids", ids)[: self.depth] + 1).tolist()
        row = bisect_left(range(len(self.order)), wanted, key=lambda r: self._at(r, len(wanted)))
        beside = [r for r in (row - 1, row) if 0 <= r < len(self.order)]
        length, best = max((_common(self._at(r, len(wanted)), wanted), r) for r in beside)
        place = int(self.order[best])
        text = bisect_left(self.begins, place + 1) - 1
        return Match(length, 0, text, place - self.begins[text])

    def longest(self, ids: Sequence[int] | Tensor) -> Match:
        """The longest run of `ids`, wherever it begins; the first of those equally long."""
        row, best = _ids("ids", ids), Match(0, 0, 0, 0)
        for start in range(len(row)):
            found = self.match(row[start : start + self.depth])
            if found.length > best.length:
                best = found._replace(start=start)
        return best

    def _at(self, row: int, count: int) -> list[int]:
        """The first tokens of what stands in this row of the order."""
        place = int(self.order[row])
        return self.ids[place : place + count].tolist()


def _order(ids: Integer[Tensor, " seq"], depth: int) -> Integer[Tensor, " seq"]:
    """The places of `ids`, sorted by the first `depth` tokens or more that stand there.

    Each round sorts by twice as many tokens as the one before: of two places whose first halves
    have been given ranks already, and whose second halves too, only the ranks are compared.
    """
    ranks, known = ids, 1
    order, ranks = _sorted(ranks)
    while known < depth and int(ranks.max()) < len(ids) - 1:
        behind = torch.zeros_like(ranks)
        behind[:-known] = ranks[known:] + 1
        order, ranks = _sorted(ranks * (len(ids) + 1) + behind)
        known *= 2
    return order


def _sorted(keys: Tensor) -> tuple[Tensor, Tensor]:
    """The places in the order of their keys, and the rank of each place: equal keys, equal rank."""
    ordered, order = keys.sort(stable=True)
    ranks = torch.empty_like(order)
    ranks[order] = torch.cat([keys.new_zeros(1), ordered.diff().ne(0).cumsum(0)])
    return order, ranks


def _common(one: list[int], other: list[int]) -> int:
    """How many tokens both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _ids(name: str, ids: Sequence[int] | Tensor) -> Integer[Tensor, " seq"]:
    row = torch.as_tensor(ids).cpu() if len(ids) else torch.empty(0, dtype=torch.int64)
    if row.dtype.is_floating_point or row.dtype == torch.bool:
        raise TypeError(f"{name} holds {row.dtype}: expected whole numbers")
    if row.ndim != 1:
        raise ValueError(f"{name} has shape {tuple(row.shape)}: expected [seq], one text")
    if len(row) and int(row.min()) < 0:
        raise ValueError(f"{name} holds {int(row.min())}: expected token ids of at least 0")
    return row.long()
