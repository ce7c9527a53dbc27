"""GPT: a stack of blocks that looks back only, and says which token comes next.

References: Radford et al. (2018), "Improving Language Understanding by Generative Pre-Training",
section 3.1; Radford et al. (2019), "Language Models are Unsupervised Multitask Learners" (GPT-2),
section 2.3.
Chapter: chapters/05_architectures.ipynb
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from underglass.attention import MultiHeadAttention
from underglass.cache import KeyValueCache
from underglass.layers import FeedForward, PreNormBlock, check_activation
from underglass.models import parts
from underglass.positions import LearnedPositions


@dataclass(frozen=True)
class GPTConfig:
    """The sizes of a GPT; those of GPT-2's smallest unless given.

    Attributes:
        max_len: most tokens in one sequence.
        dropout: share set to zero in training.
        eps: that of every norm.

    Raises:
        ValueError: if a number is out of its range, or the heads do not divide the width.
    """

    vocab_size: int = 50257
    max_len: int = 1024
    d_model: int = 768
    num_layers: int = 12
    num_heads: int = 12
    d_ff: int = 3072
    dropout: float = 0.1
    activation: str = "gelu_tanh"
    eps: float = 1e-5

    def __post_init__(self) -> None:
        parts.check_counts(self, "vocab_size", "max_len", "d_model", "num_layers", "d_ff")
        parts.check_heads(self.d_model, self.num_heads)
        parts.check_dropout(self.dropout)
        parts.check_eps(self.eps)
        check_activation(self.activation)


def gpt2_small() -> GPTConfig:
    """The smallest GPT-2: 124,439,808 parameters (the paper's table 2 prints 117 million)."""
    return GPTConfig()


class GPT(nn.Module):
    """Token ids in, and for each position the logits of the token that comes next.

    The table of token vectors serves twice: to read a token in, and to score it as the next one.

    Args:
        generator: draws the initial weights.
    """

    def __init__(self, config: GPTConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.tokens = parts.table(config.vocab_size, config.d_model)
        self.positions = LearnedPositions(config.max_len, config.d_model)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.d_model, eps=config.eps)
        parts.initialize(self, generator)
        self._shrink_what_is_added()

    def forward(
        self,
        ids: Integer[Tensor, "batch seq"],
        *,
        mask: Bool[Tensor, "..."] | None = None,
        positions: Integer[Tensor, "batch seq"] | None = None,
        cache: Sequence[KeyValueCache] | None = None,
        return_weights: bool = False,
    ) -> (
        Float[Tensor, "batch seq vocab_size"]
        | tuple[
            Float[Tensor, "batch seq vocab_size"], tuple[Float[Tensor, "batch head seq _"], ...]
        ]
    ):
        """The logits of the next token, at every position.

        Args:
            mask: True where one may look, of what causality leaves; `padding_mask(ids, pad_id)`
                hides padding. With a cache it covers the cached positions and those of ids.
            positions: where each token stands, counted on from the cache unless given. A batch that
                is padded on the left needs them: there the first token does not stand at place 0.
            cache: what `new_cache` made: ids are then the tokens that come after those in it.
            return_weights: return the attention weights of every layer too.

        Returns:
            logits, or (logits, weights), with one weights tensor [batch head seq k] a layer.

        Raises:
            ValueError: if there are more tokens than positions, ids are outside the vocabulary (on
                a GPU, where reading them would make it wait, torch's own error comes instead), or
                the mask, the positions or the cache do not go with them.
            TypeError: if ids are not integers, or the mask is not boolean.
        """
        past = parts.past_of(cache, self.config.num_layers)
        parts.check_ids("ids", ids, self.config.vocab_size, self.config.max_len, past)
        x = self.dropout(self.positions(self.tokens(ids), past, places=positions))
        mask = parts.also_causal(mask, ids, cache)
        x, weights = parts.run_blocks(
            self.blocks, x, mask, cache=cache, return_weights=return_weights
        )
        logits = self.norm(x) @ self.tokens.weight.T
        return (logits, weights) if return_weights else logits

    def new_cache(self, max_len: int | None = None) -> list[KeyValueCache]:
        """An empty cache for each layer, with room for `max_len` positions (the model's own)."""
        room = self.config.max_len if max_len is None else max_len
        return [KeyValueCache(room) for _ in self.blocks]

    @torch.no_grad()
    def _shrink_what_is_added(self) -> None:
        """Each layer adds twice to x: shrunk so, the sum over all layers keeps its size."""
        share = (2 * self.config.num_layers) ** -0.5  # GPT-2, section 2.3
        for name, weight in self.named_parameters():
            if name.endswith("out_proj.weight"):
                weight.mul_(share)


def _block(config: GPTConfig) -> PreNormBlock:
    return PreNormBlock(
        MultiHeadAttention(config.d_model, config.num_heads, dropout=config.dropout),
        nn.LayerNorm(config.d_model, eps=config.eps),
        FeedForward(config.d_model, config.d_ff, activation=config.activation),
        nn.LayerNorm(config.d_model, eps=config.eps),
        dropout=config.dropout,
    )
