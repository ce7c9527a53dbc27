"""N-gram language models: how often did this token follow the last few, in the texts counted?

References: Shannon (1948), "A Mathematical Theory of Communication", section 3 (the idea);
Kneser and Ney (1995), "Improved Backing-off for M-gram Language Modeling";
Chen and Goodman (1999), "An Empirical Study of Smoothing Techniques for Language Modeling",
section 2.7 (the interpolated form); Jurafsky and Martin, "Speech and Language Processing", third
edition, chapter 3.
Chapter: chapters/01_language_models.ipynb
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from underglass.models import parts
from underglass.models.baselines.grams import Grams, GramTable, text_ids

# Where the texts are so few that none or all of the n-grams occur once, the estimate of a discount
# would be 0, and leave nothing to the tokens that did not occur, or 1, and leave nothing to others.
FALLBACK_DISCOUNT = 0.5


@dataclass(frozen=True)
class NGramConfig:
    """The sizes of an n-gram model.

    Attributes:
        order: n, the length of the longest n-grams: each token is predicted from `order - 1`.
        discount: what is taken off every count, above 0 and at most 1; unless given, estimated for
            each length by itself.

    Raises:
        ValueError: if a number is out of its range.
    """

    vocab_size: int
    order: int = 5
    discount: float | None = None

    def __post_init__(self) -> None:
        parts.check_counts(self, "vocab_size", "order")
        if self.discount is not None and not 0 < self.discount <= 1:
            raise ValueError(
                f"discount={self.discount}: expected a number above 0 and at most 1, "
                "or None to estimate it"
            )


class NGram:
    """An n-gram language model with interpolated Kneser-Ney smoothing.

        P(w | context) = max(count(context w) - d, 0) / count(context) + left * P(w | shorter)
        left           = d * (number of different tokens that follow the context) / count(context)

    Each count is lowered by the discount d, and what that leaves goes to the same question with the
    first token of the context left out, down to the empty context, and last to 1 / vocab_size for
    every token. For the longest n-grams, count is how often they occur; for the shorter ones, how
    many different tokens they follow: "Francisco" is frequent, but only behind "San", and so it is
    a bad guess behind anything else.

    A text begins without a context: its first tokens are predicted from the few that there are, no
    n-gram reaches from one text into the next, and what opens a text follows "the beginning", as if
    that were a token. Where beginnings matter, put a mark of your own before each text, `order - 1`
    times. A context that never occurred counts for as much as the same without its first token.

    Attributes:
        discounts: d for each length of n-grams from 1, after `fit`.
    """

    def __init__(self, config: NGramConfig) -> None:
        self.config = config
        self.discounts: tuple[float, ...] = ()
        self._grams: Grams | None = None
        self._levels: list[tuple[Tensor, Tensor]] = []

    def fit(self, texts: Iterable[Sequence[int] | Tensor]) -> "NGram":
        """Count the n-grams of these texts (what was counted before is forgotten); returns itself.

        Args:
            texts: the ids of each text, a list or a tensor.

        Raises:
            ValueError: if there is no token, or an id is outside the vocabulary.
            TypeError: if ids are not whole numbers.
        """
        grams = Grams(texts, self.config.order, self.config.vocab_size)
        counts = [*grams.left_counts, grams.counts[-1]]
        given = self.config.discount
        self.discounts = tuple(_discount(c) if given is None else given for c in counts)
        self._levels = [
            _level(table, count, discount)
            for table, count, discount in zip(grams.tables, counts, self.discounts, strict=True)
        ]
        self._grams = grams
        return self

    def probabilities(self, context: Sequence[int] | Tensor) -> Float[Tensor, " vocab_size"]:
        """P(w | context) for every token w, in float64: each above 0, with a sum of 1.

        Args:
            context: the ids before w; those before the last `order - 1` make no difference.
        """
        grams, ids = _counted(self._grams), text_ids("context", context, self.config.vocab_size)
        endings = grams.endings(_last(ids, self.config.order - 1))
        p = _uniform(self.config.vocab_size, self.config.vocab_size)
        for table, context, (share, left) in zip(grams.tables, endings, self._levels, strict=False):
            rows, followers = table.followers(context)
            p *= left[context]
            p.index_add_(0, followers, share[rows])  # p[followers] += ..., but far faster
        return p

    def token_losses(self, ids: Sequence[int] | Tensor) -> Float[Tensor, " seq"]:
        """-log P(token | those before it in this text), in nats, for each token of a text."""
        grams, ids = _counted(self._grams), text_ids("ids", ids, self.config.vocab_size)
        p = _uniform(len(ids), self.config.vocab_size)
        for (contexts, numbers), (share, left) in zip(grams.along(ids), self._levels, strict=True):
            p = share[numbers] + left[contexts] * p
        return -p.log()


def _level(table: GramTable, counts: Tensor, discount: float) -> tuple[Tensor, Tensor]:
    """The share that each n-gram has by itself, and what each context leaves to shorter ones."""
    totals, kinds = table.sum_by_context(counts), table.sum_by_context(counts > 0)
    share = (counts.double() - discount).clamp(min=0) / totals.clamp(min=1)[table.contexts()]
    left = torch.where(totals > 0, discount * kinds / totals, 1.0)
    return share, left


def _discount(counts: Tensor) -> float:
    """n_1 / (n_1 + 2 n_2), where n_i is how many n-grams have a count of i.

    Chen and Goodman (1999), section 2.7, from Ney, Essen and Kneser (1994).
    """
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return once / (once + 2 * twice) if once and twice else FALLBACK_DISCOUNT


@dataclass(frozen=True)
class AddKConfig:
    """The sizes of an n-gram model with add-k smoothing.

    Attributes:
        order: n, the length of the longest n-grams.
        k: what is added to every count, above 0.

    Raises:
        ValueError: if a number is out of its range.
    """

    vocab_size: int
    order: int = 2
    k: float = 1.0

    def __post_init__(self) -> None:
        parts.check_counts(self, "vocab_size", "order")
        if not 0 < self.k < torch.inf:
            raise ValueError(f"k={self.k}: expected a number above 0")


class AddK:
    """An n-gram language model with add-k smoothing: each token is counted k times too often.

        P(w | context) = (count(context w) + k) / (count(context) + k * vocab_size)

    With k = 1 it is Laplace's rule. A context that never occurred leaves all tokens equal, so that
    longer n-grams soon make it worse: compare `NGram`. Texts begin without a context there as here.
    """

    def __init__(self, config: AddKConfig) -> None:
        self.config = config
        self._grams: Grams | None = None

    def fit(self, texts: Iterable[Sequence[int] | Tensor]) -> "AddK":
        """Count the n-grams of these texts, as `NGram.fit` does; returns itself."""
        self._grams = Grams(texts, self.config.order, self.config.vocab_size)
        return self

    def probabilities(self, context: Sequence[int] | Tensor) -> Float[Tensor, " vocab_size"]:
        """P(w | context) for every token w, in float64: each above 0, with a sum of 1."""
        grams, ids = _counted(self._grams), text_ids("context", context, self.config.vocab_size)
        ids = _last(ids, self.config.order - 1)
        rows, followers = grams.tables[len(ids)].followers(grams.endings(ids)[len(ids)])
        counts = torch.zeros(self.config.vocab_size, dtype=torch.float64)
        counts[followers] = grams.counts[len(ids)][rows].double()
        return (counts + self.config.k) / (counts.sum() + self.config.k * self.config.vocab_size)

    def token_losses(self, ids: Sequence[int] | Tensor) -> Float[Tensor, " seq"]:
        """-log P(token | those before it in this text), in nats, for each token of a text."""
        grams, ids = _counted(self._grams), text_ids("ids", ids, self.config.vocab_size)
        p, k = _uniform(len(ids), self.config.vocab_size), self.config.k
        for size, (contexts, numbers) in enumerate(grams.along(ids)):
            counts, totals = (
                grams.counts[size],
                grams.tables[size].sum_by_context(grams.counts[size]),
            )
            fraction = (counts.double()[numbers] + k) / (
                totals[contexts] + k * self.config.vocab_size
            )
            p[size:] = fraction[size:]  # the first tokens have shorter contexts
        return -p.log()


def _counted(grams: Grams | None) -> Grams:
    if grams is None:
        raise ValueError("nothing has been counted yet: call fit(texts) first")
    return grams


def _last(ids: Tensor, size: int) -> Tensor:
    return ids[max(0, len(ids) - size) :]


def _uniform(size: int, vocab_size: int) -> Tensor:
    return torch.full((size,), 1 / vocab_size, dtype=torch.float64)
