"""Skip-gram with negative sampling: a vector for each word, learned from the words around it.

Reference: Mikolov et al. (2013), "Distributed Representations of Words and Phrases and their
Compositionality", sections 2.2 (negative sampling) and 2.3 (subsampling of frequent words).
Chapter: chapters/03_embeddings.ipynb
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Integer
from torch import Tensor, nn

from underglass.models import parts


@dataclass(frozen=True)
class SkipGramConfig:
    """The sizes of a skip-gram model.

    Raises:
        ValueError: if a number is out of its range.
    """

    vocab_size: int
    d_model: int = 100

    def __post_init__(self) -> None:
        parts.check_counts(self, "vocab_size", "d_model")


class SkipGram(nn.Module):
    """Two vectors for each word: u when it stands in the centre, v when it stands around another.

        loss of a pair = -log sigmoid(u . v) - sum of log sigmoid(-u . v') over the negatives v'

    Each pair that stands together in the text is to be told apart from pairs drawn by chance.

    Args:
        generator: draws the initial vectors.
    """

    def __init__(self, config: SkipGramConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.centers = parts.table(config.vocab_size, config.d_model)
        self.contexts = parts.table(config.vocab_size, config.d_model)
        self._draw(generator)

    @property
    def vectors(self) -> Float[Tensor, "vocab_size d_model"]:
        """The vector of each word, as others use them: those of the centres."""
        return self.centers.weight.detach()

    def forward(
        self,
        centers: Integer[Tensor, " pair"],
        contexts: Integer[Tensor, " pair"],
        negatives: Integer[Tensor, "pair num_negatives"],
    ) -> Float[Tensor, " pair"]:
        """The loss of each pair.

        Args:
            centers, contexts: the ids of two words that stand near each other (`skip_gram_pairs`).
            negatives: for each pair, ids of words drawn by chance (`draw_negatives`).

        Raises:
            ValueError: if the shapes do not go together, or ids are outside the vocabulary (on a
                GPU, where reading them would make it wait, torch's own error comes instead).
            TypeError: if ids are not integers.
        """
        self._check_input(centers, contexts, negatives)
        u = self.centers(centers)
        score = (u * self.contexts(contexts)).sum(dim=-1)
        negative_scores = (self.contexts(negatives) @ u[..., None]).squeeze(-1)
        return -F.logsigmoid(score) - F.logsigmoid(-negative_scores).sum(dim=-1)

    def _draw(self, generator: torch.Generator | None) -> None:
        """As the authors' program: centres within ±1/2 of 1/d_model, the others all zero."""
        if not self.centers.weight.is_meta:
            bound = 0.5 / self.config.d_model
            nn.init.uniform_(self.centers.weight, -bound, bound, generator=generator)
            nn.init.zeros_(self.contexts.weight)

    def _check_input(self, centers: Tensor, contexts: Tensor, negatives: Tensor) -> None:
        if (
            centers.ndim != 1
            or contexts.shape != centers.shape
            or negatives.ndim != 2
            or len(negatives) != len(centers)
        ):
            raise ValueError(
                f"centers {tuple(centers.shape)}, contexts {tuple(contexts.shape)}, "
                f"negatives {tuple(negatives.shape)}: expected [pair], [pair], "
                "[pair num_negatives]"
            )
        for name, ids in (("centers", centers), ("contexts", contexts), ("negatives", negatives)):
            parts.check_range(name, ids, "vocab_size", self.config.vocab_size)


def skip_gram_pairs(
    ids: Integer[Tensor, " seq"],
    window: int,
    *,
    generator: torch.Generator | None = None,
) -> tuple[Integer[Tensor, " pair"], Integer[Tensor, " pair"]]:
    """Each word with each of those around it: (centers, contexts), the nearest pairs first.

    Args:
        ids: one text.
        window: how many words to each side at most. For each centre a draw from 1 to `window` says
            how many, so that near words are in more pairs than far ones.
        generator: makes the draws.

    Raises:
        ValueError: if the ids are not those of one text, or the window is below 1.
        TypeError: if the ids are not integers.
    """
    _check_text(ids)
    if window < 1:
        raise ValueError(f"window={window}: expected at least 1 word")
    reach = torch.randint(1, window + 1, (len(ids),), generator=generator).to(ids.device)
    centers, contexts = [ids[:0]], [ids[:0]]
    for distance in range(1, min(window, len(ids) - 1) + 1):
        before, after = ids[:-distance], ids[distance:]
        for center, context, near in (
            (before, after, reach[:-distance] >= distance),
            (after, before, reach[distance:] >= distance),
        ):
            centers.append(center[near])
            contexts.append(context[near])
    return torch.cat(centers), torch.cat(contexts)


def noise_distribution(
    counts: Integer[Tensor, " vocab_size"], *, power: float = 0.75
) -> Float[Tensor, " vocab_size"]:
    """count^power / sum of count^power, for each word, in float64: what negatives are drawn from.

    With 3/4, which the authors found best, rare words are drawn more often than they occur.

    Raises:
        ValueError: if the counts are not one for each word, not below 0 and one of them above.
    """
    _check_counts(counts)
    powers = counts.double() ** power * (counts > 0)  # 0 ** 0 would be 1
    return powers / powers.sum()


def draw_negatives(
    noise: Float[Tensor, " vocab_size"],
    num_pairs: int,
    num_negatives: int = 5,
    *,
    generator: torch.Generator | None = None,
) -> Integer[Tensor, "num_pairs num_negatives"]:
    """Ids of words drawn from `noise`, each by itself: now and then one is the right word.

    Raises:
        ValueError: if there is to be less than one pair, or less than one word for each.
    """
    for name, number in (("num_pairs", num_pairs), ("num_negatives", num_negatives)):
        if number < 1:
            raise ValueError(f"{name}={number}: expected at least 1")
    drawn = noise.multinomial(num_pairs * num_negatives, replacement=True, generator=generator)
    return drawn.view(num_pairs, num_negatives)


def subsample(
    ids: Integer[Tensor, " seq"],
    counts: Integer[Tensor, " vocab_size"],
    *,
    threshold: float = 1e-5,
    generator: torch.Generator | None = None,
) -> Integer[Tensor, " _"]:
    """The text with frequent words left out here and there: each is kept by sqrt(threshold / f).

    A word with a share f of all words below the threshold always stays. What is left moves
    together, so that a window reaches farther.

    Args:
        ids: one text.
        counts: how often each word occurs, in all texts.
        threshold: the smaller, the more is left out. The authors' 1e-5 is for a billion words.

    Raises:
        ValueError: if the threshold is not above 0, the counts are not one for each word that the
            ids may name, or one is below 0.
    """
    _check_text(ids)
    _check_counts(counts)
    if not threshold > 0:
        raise ValueError(f"threshold={threshold}: expected a number above 0")
    parts.check_range("ids", ids, "len(counts)", len(counts))
    share = counts[ids].double() / counts.sum()
    draws = torch.rand(len(ids), dtype=torch.float64, generator=generator).to(ids.device)
    return ids[draws < (threshold / share).sqrt()]


def _check_text(ids: Tensor) -> None:
    if ids.ndim != 1:
        raise ValueError(f"ids has shape {tuple(ids.shape)}: expected [seq], one text")
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise TypeError(f"ids is {ids.dtype}: expected integers")


def _check_counts(counts: Tensor) -> None:
    if counts.ndim != 1 or (counts < 0).any() or not (counts > 0).any():
        raise ValueError(
            f"counts is {counts.tolist()!r:.40}: expected how often each word occurs, "
            "none below 0 and one above"
        )
