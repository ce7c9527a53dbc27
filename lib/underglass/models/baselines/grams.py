"""The n-grams of some texts, counted: what the n-gram language models are made from.

Reference: Jurafsky and Martin, "Speech and Language Processing", third edition, section 3.1.
Chapter: chapters/01_language_models.ipynb
"""

from collections.abc import Iterable, Iterator, Sequence

import torch
from jaxtyping import Integer
from torch import Tensor

from underglass.models import parts

NO_KEY = torch.iinfo(torch.int64).max  # greater than any key


class GramTable:
    """The different n-grams of some texts, for one n: a column of keys, in order.

        key = (number of the n-gram without its last token) * vocab_size + last token

    An n-gram's number is its row here. So those that begin alike stand together, and any is found
    by bisection. The last row is `unknown`: it stands for every n-gram that did not occur.

    Args:
        shorter: the table of the (n - 1)-grams; none for n = 1, where 0 is the number of what is
            left without a last token.
    """

    def __init__(
        self, keys: Integer[Tensor, " seq"], vocab_size: int, shorter: "GramTable | None"
    ) -> None:
        self.keys = torch.cat([keys.unique(), keys.new_tensor([NO_KEY])])  # unique() sorts
        self.vocab_size = vocab_size
        self.unknown = len(self.keys) - 1
        self.unknown_context = shorter.unknown if shorter else 1

    def find(
        self, contexts: Integer[Tensor, " seq"], ids: Integer[Tensor, " seq"]
    ) -> Integer[Tensor, " seq"]:
        """The numbers of the n-grams made of a context, by its number, and an id."""
        keys = contexts * self.vocab_size + ids
        rows = torch.searchsorted(self.keys, keys)
        return torch.where(self.keys[rows] == keys, rows, self.unknown)

    def contexts(self) -> Integer[Tensor, " gram"]:
        """For each n-gram, the number of what it is without its last token."""
        contexts = self.keys // self.vocab_size
        contexts[-1] = self.unknown_context
        return contexts

    def sum_by_context(self, values: Tensor) -> Tensor:
        """For each context, the sum of the values of the n-grams that begin with it, in float64."""
        return self.contexts().bincount(values.double(), self.unknown_context + 1)

    def followers(self, context: Tensor) -> tuple[slice, Integer[Tensor, " gram"]]:
        """The rows of the n-grams that begin with this context, and the ids that they end with."""
        ends = torch.stack([context, context + 1]) * self.vocab_size
        rows = slice(*torch.searchsorted(self.keys[:-1], ends).tolist())
        return rows, self.keys[rows] - context * self.vocab_size


class Grams:
    """The n-grams of some texts, for n from 1 to `order`. None reaches from one text to the next.

    Attributes:
        tables: one for each n from 1.
        counts: for each table, how often each n-gram occurs.
        left_counts: for each table but the last, how many different tokens stand to the left of
            each n-gram; the beginning of a text counts as one.
    """

    def __init__(
        self, texts: Iterable[Sequence[int] | Tensor], order: int, vocab_size: int
    ) -> None:
        self.tables: list[GramTable] = []
        self.counts: list[Tensor] = []
        self.left_counts: list[Tensor] = []
        ids, places = _joined(texts, vocab_size)
        table, numbers, contexts = None, ids, torch.zeros_like(ids)
        for n in range(1, order + 1):
            whole = places >= n - 1  # the others would reach back across the beginning
            table = GramTable((contexts * vocab_size + ids)[whole], vocab_size, table)
            shorter, numbers = numbers, table.find(contexts, ids)
            if n > 1:
                pairs = numbers[whole], shorter[whole]
                self.left_counts.append(
                    _left_counts(*pairs, shorter[places == n - 2], len(self.counts[-1]))
                )
            self.tables.append(table)
            self.counts.append(numbers[whole].bincount(minlength=table.unknown + 1))
            contexts = _shift(numbers, places, table)

    def along(
        self, ids: Integer[Tensor, " seq"]
    ) -> Iterator[tuple[Integer[Tensor, " seq"], Integer[Tensor, " seq"]]]:
        """For n = 1, 2, ...: the numbers of the contexts of each token, and of the n-grams."""
        contexts = torch.zeros_like(ids)
        for table in self.tables:
            numbers = table.find(contexts, ids)
            yield contexts, numbers
            contexts = _shift(numbers, torch.arange(len(ids)), table)

    def endings(self, ids: Integer[Tensor, " seq"]) -> list[Integer[Tensor, ""]]:
        """The numbers of the 0-gram, the 1-gram, the 2-gram, ... that the ids end with."""
        return [torch.tensor(0), *(numbers[-1] for _, numbers in self.along(ids) if len(ids))]


def text_ids(name: str, ids: Sequence[int] | Tensor, vocab_size: int) -> Integer[Tensor, " seq"]:
    """The ids of a text as a tensor on the CPU.

    Raises:
        TypeError: if it is not a list of whole numbers, or a tensor of them.
        ValueError: if there is more than one axis, or an id is outside the vocabulary.
    """
    if not isinstance(ids, Tensor):
        if not isinstance(ids, Sequence) or isinstance(ids, str | bytes):
            raise TypeError(f"{name}={ids!r}: expected the ids of a text, a list or a tensor")
        ids = torch.tensor(ids) if ids else torch.empty(0, dtype=torch.int64)
    if ids.ndim != 1:
        raise ValueError(f"{name} has shape {tuple(ids.shape)}: expected [seq], one text")
    ids = ids.cpu()
    parts.check_range(name, ids, "vocab_size", vocab_size)
    return ids.long()


def _joined(texts: Iterable[Sequence[int] | Tensor], vocab_size: int) -> tuple[Tensor, Tensor]:
    """All ids in a row, and the place of each in its own text, counted from 0."""
    if not isinstance(texts, Iterable) or isinstance(texts, str | bytes):
        raise TypeError(f"texts={texts!r}: expected texts, each a list of ids")
    rows = [text_ids(f"texts[{i}]", text, vocab_size) for i, text in enumerate(texts)]
    if not sum(map(len, rows)):
        raise ValueError("texts have no token: expected at least one")
    return torch.cat(rows), torch.cat([torch.arange(len(row)) for row in rows])


def _shift(numbers: Tensor, places: Tensor, table: GramTable) -> Tensor:
    """What ends at a token is the context of the next, but not across a beginning."""
    return torch.where(places > 0, numbers.roll(1), table.unknown)


def _left_counts(longer: Tensor, shorter: Tensor, opening: Tensor, size: int) -> Tensor:
    """How many different n-grams end with each (n - 1)-gram, and whether it opens a text.

    Args:
        longer: numbers of n-grams.
        shorter: numbers of the same without their first tokens.
        opening: numbers of (n - 1)-grams that open a text.
        size: how many different (n - 1)-grams there may be.
    """
    ends = torch.empty(int(longer.max()) + 1 if len(longer) else 0, dtype=torch.int64)
    ends[longer] = shorter  # one entry for each different n-gram, however often it occurs
    counts = ends.bincount(minlength=size)
    counts[opening.unique()] += 1
    return counts
