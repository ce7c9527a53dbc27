"""BERT: a stack of encoder blocks that looks at a text in both directions.

Reference: Devlin et al. (2019), "BERT: Pre-training of Deep Bidirectional Transformers", section 3.
Chapter: chapters/04_attention.ipynb
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from underglass.layers import EncoderBlock, check_activation
from underglass.models import parts
from underglass.positions import LearnedPositions


@dataclass(frozen=True)
class BERTConfig:
    """The sizes of a BERT.

    Attributes:
        max_len: most tokens in one sequence.
        num_segments: how many texts a sequence can tell apart, such as a question and its passage.
        dropout: share set to zero in training.
        pooler: whether there is a layer that sums up a sequence in one vector (`BERT.pool`).
        eps: that of every norm.

    Raises:
        ValueError: if a number is out of its range, or the heads do not divide the width.
    """

    vocab_size: int = 30522
    max_len: int = 512
    num_segments: int = 2
    d_model: int = 768
    num_layers: int = 12
    num_heads: int = 12
    d_ff: int = 3072
    dropout: float = 0.1
    activation: str = "gelu"
    pooler: bool = True
    eps: float = 1e-12

    def __post_init__(self) -> None:
        parts.check_counts(
            self, "vocab_size", "max_len", "num_segments", "d_model", "num_layers", "d_ff"
        )
        parts.check_heads(self.d_model, self.num_heads)
        parts.check_dropout(self.dropout)
        parts.check_eps(self.eps)
        check_activation(self.activation)


def bert_base() -> BERTConfig:
    """The BERT-base of the paper: 109,482,240 parameters."""
    return BERTConfig()


class BERT(nn.Module):
    """Token ids in, one vector for each token out: what it means in this text.

    Args:
        generator: draws the initial weights.
    """

    def __init__(self, config: BERTConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.tokens = parts.table(config.vocab_size, config.d_model)
        self.positions = LearnedPositions(config.max_len, config.d_model)
        self.segments = parts.table(config.num_segments, config.d_model)
        self.norm = nn.LayerNorm(config.d_model, eps=config.eps)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.num_layers))
        self.pooler = nn.Linear(config.d_model, config.d_model) if config.pooler else None
        parts.initialize(self, generator)

    def forward(
        self,
        ids: Integer[Tensor, "batch seq"],
        mask: Bool[Tensor, "..."] | None = None,
        segments: Integer[Tensor, "batch seq"] | None = None,
        *,
        return_weights: bool = False,
    ) -> (
        Float[Tensor, "batch seq d_model"]
        | tuple[Float[Tensor, "batch seq d_model"], tuple[Float[Tensor, "batch head seq seq"], ...]]
    ):
        """The last hidden states.

        Args:
            mask: True where one may look; `padding_mask(ids, pad_id)` hides padding.
            segments: which text each token belongs to, counted from 0; all to the first unless
                given.
            return_weights: return the attention weights of every layer too.

        Returns:
            hidden, or (hidden, weights), with one weights tensor [batch head seq seq] a layer.

        Raises:
            ValueError: if there are more tokens than positions, or ids are outside the vocabulary
                (on a GPU, where reading them would make it wait, torch's own error comes instead).
            TypeError: if ids are not integers, or the mask is not boolean.
        """
        self._check_input(ids, segments)
        x = self._embed(ids, torch.zeros_like(ids) if segments is None else segments)
        weights = []
        for block in self.blocks:
            x = block(x, mask, return_weights=return_weights)
            if return_weights:
                x, layer_weights = x
                weights.append(layer_weights)
        return (x, tuple(weights)) if return_weights else x

    def pool(self, hidden: Float[Tensor, "batch seq d_model"]) -> Float[Tensor, "batch d_model"]:
        """tanh(W h_0 + b): one vector for the sequence, read off its first token, [CLS].

        Raises:
            ValueError: if the config says that there is no pooler.
        """
        if self.pooler is None:
            raise ValueError("this BERT has no pooler: expected a config with pooler=True")
        return torch.tanh(self.pooler(hidden[:, 0]))

    def _embed(self, ids: Tensor, segments: Tensor) -> Float[Tensor, "batch seq d_model"]:
        """Which token, where, and in which text: three vectors added up."""
        x = self.positions(self.tokens(ids)) + self.segments(segments)
        return self.dropout(self.norm(x))

    def _check_input(self, ids: Tensor, segments: Tensor | None) -> None:
        parts.check_ids("ids", ids, self.config.vocab_size, self.config.max_len)
        if segments is not None:
            if segments.shape != ids.shape:
                raise ValueError(
                    f"segments has shape {tuple(segments.shape)}: "
                    f"expected that of ids, {tuple(ids.shape)}"
                )
            parts.check_range("segments", segments, "num_segments", self.config.num_segments)


def _block(config: BERTConfig) -> EncoderBlock:
    return EncoderBlock(
        config.d_model,
        config.num_heads,
        config.d_ff,
        dropout=config.dropout,
        activation=config.activation,
        eps=config.eps,
    )
