"""Llama: GPT with what decoders have changed since: rotary positions, RMSNorm, gates, fewer keys.

References: Touvron et al. (2023), "LLaMA: Open and Efficient Foundation Language Models", section
2.2; Touvron et al. (2023), "Llama 2", section 2.2 (grouped-query attention);
Grattafiori et al. (2024), "The Llama 3 Herd of Models", section 3.2.
Chapter: chapters/05_architectures.ipynb
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from underglass.attention import MultiHeadAttention
from underglass.cache import KeyValueCache
from underglass.layers import GatedFeedForward, PreNormBlock, RMSNorm
from underglass.models import parts
from underglass.positions import RotaryPositions


@dataclass(frozen=True)
class LlamaConfig:
    """The sizes of a Llama; those of Llama 2's smallest unless given.

    Attributes:
        max_len: most tokens in one sequence.
        num_kv_heads: heads of keys and values, each shared by `num_heads // num_kv_heads` heads of
            queries.
        rotary_base: b, where pair i of a head's coordinates turns by b^(-2i/d_head) a position.
        eps: that of every norm.
        tied: whether the table of token vectors scores the next token too, as in GPT.

    Raises:
        ValueError: if a number is out of its range, or the heads do not divide the width,
            or the key heads the query heads.
    """

    vocab_size: int = 32000
    max_len: int = 4096
    d_model: int = 4096
    num_layers: int = 32
    num_heads: int = 32
    num_kv_heads: int = 32
    d_ff: int = 11008
    rotary_base: float = 10000.0
    eps: float = 1e-5
    tied: bool = False

    def __post_init__(self) -> None:
        parts.check_counts(self, "vocab_size", "max_len", "d_model", "num_layers", "d_ff")
        parts.check_heads(self.d_model, self.num_heads)
        if self.num_kv_heads < 1 or self.num_heads % self.num_kv_heads:
            raise ValueError(
                f"num_heads={self.num_heads} is not divisible by num_kv_heads={self.num_kv_heads}"
            )
        if self.d_model // self.num_heads % 2:
            raise ValueError(
                f"d_model / num_heads = {self.d_model // self.num_heads}: expected an even number, "
                "for rotary positions turn coordinates in pairs"
            )
        if not self.rotary_base > 1:
            raise ValueError(f"rotary_base={self.rotary_base}: expected a number above 1")
        parts.check_eps(self.eps)


def llama2_7b() -> LlamaConfig:
    """Llama 2's smallest: 6,738,415,616 parameters."""
    return LlamaConfig()


def llama3_8b() -> LlamaConfig:
    """Llama 3's smallest: 8,030,261,248 parameters; four heads of queries share one of keys."""
    return LlamaConfig(
        vocab_size=128256, max_len=8192, num_kv_heads=8, d_ff=14336, rotary_base=500000.0
    )


class Llama(nn.Module):
    """Token ids in, and for each position the logits of the token that comes next.

    Args:
        generator: draws the initial weights.
    """

    def __init__(self, config: LlamaConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.tokens = parts.table(config.vocab_size, config.d_model)
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.num_layers))
        self.norm = RMSNorm(config.d_model, eps=config.eps)
        self.output = (
            None if config.tied else nn.Linear(config.d_model, config.vocab_size, bias=False)
        )
        parts.initialize(self, generator)

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
            positions: where each token stands, counted on from the cache unless given. Only how far
                apart tokens stand matters, so that padding on the left needs none.
            cache: what `new_cache` made: ids are then the tokens that come after those in it.
            return_weights: return the attention weights of every layer too.

        Returns:
            logits, or (logits, weights), with one weights tensor [batch head seq k] a layer.

        Raises:
            ValueError: if there are more tokens than `max_len`, ids are outside the vocabulary (on
                a GPU, where reading them would make it wait, torch's own error comes instead), or
                the mask, the positions or the cache do not go with them.
            TypeError: if ids are not integers, or the mask is not boolean.
        """
        past = parts.past_of(cache, self.config.num_layers)
        parts.check_ids("ids", ids, self.config.vocab_size, self.config.max_len, past)
        x, weights = parts.run_blocks(
            self.blocks,
            self.tokens(ids),
            parts.also_causal(mask, ids, cache),
            positions=positions,
            cache=cache,
            return_weights=return_weights,
        )
        x = self.norm(x)
        logits = x @ self.tokens.weight.T if self.output is None else self.output(x)
        return (logits, weights) if return_weights else logits

    def new_cache(self, max_len: int | None = None) -> list[KeyValueCache]:
        """An empty cache for each layer, with room for `max_len` positions (the model's own)."""
        room = self.config.max_len if max_len is None else max_len
        return [KeyValueCache(room) for _ in self.blocks]


def _block(config: LlamaConfig) -> PreNormBlock:
    rotary = RotaryPositions(config.d_model // config.num_heads, base=config.rotary_base)
    attention = MultiHeadAttention(
        config.d_model,
        config.num_heads,
        num_kv_heads=config.num_kv_heads,
        bias=False,
        rotary=rotary,
    )
    return PreNormBlock(
        attention,
        RMSNorm(config.d_model, eps=config.eps),
        GatedFeedForward(config.d_model, config.d_ff),
        RMSNorm(config.d_model, eps=config.eps),
    )
