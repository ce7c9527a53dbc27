"""The Transformer of 2017: an encoder that reads one text, and a decoder that writes another.

Reference: Vaswani et al. (2017), "Attention Is All You Need", section 3 and table 3.
Chapter: chapters/05_architectures.ipynb
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from underglass.attention import causal_mask
from underglass.cache import KeyValueCache
from underglass.layers import DecoderBlock, EncoderBlock, check_activation
from underglass.models import parts
from underglass.positions import sinusoidal_positions


@dataclass(frozen=True)
class Seq2SeqConfig:
    """The sizes of an encoder-decoder.

    Attributes:
        vocab_size: of both texts, which share one table.
        max_len: most tokens in one sequence, of either text.
        num_layers: of the encoder, and as many again of the decoder.
        dropout: share set to zero in training.
        eps: that of every norm.
        output_bias: whether each token has a number that is added to its logit. The paper has none;
            published translation models do.
    """

    vocab_size: int = 37000
    max_len: int = 512
    d_model: int = 512
    num_layers: int = 6
    num_heads: int = 8
    d_ff: int = 2048
    dropout: float = 0.1
    activation: str = "relu"
    eps: float = 1e-5
    output_bias: bool = False

    def __post_init__(self) -> None:
        parts.check_counts(self, "vocab_size", "max_len", "d_model", "num_layers", "d_ff")
        parts.check_heads(self.d_model, self.num_heads)
        if self.d_model % 2:
            raise ValueError(
                f"d_model={self.d_model}: expected an even number, for the positions are sines "
                "and cosines in pairs"
            )
        parts.check_dropout(self.dropout)
        parts.check_eps(self.eps)
        check_activation(self.activation)


def transformer_base() -> Seq2SeqConfig:
    """The base model of the paper: 63,082,496 parameters with 37,000 shared tokens.

    The paper's table 3 prints 65 x 10^6, and does not say what it counts; "about 37000" (section
    5.1) need not be the number of rows in its table of tokens. The blocks have 44,138,496
    parameters, of which all biases of linear layers are only 67,584; so 65 x 10^6 wants 40,745 rows
    of 512. Some 41,000 rows give, when rounded, every count in table 3 but that of the big model:
    213 x 10^6 would leave it 35,784. So the vocabulary may account for the gap of this model, but
    not for all of that table.
    """
    return Seq2SeqConfig()


class Seq2SeqWeights(NamedTuple):
    """The attention weights of all layers: one tensor a layer, from the input to the output."""

    encoder: tuple[Float[Tensor, "batch head source source"], ...]  # the source at itself
    decoder: tuple[Float[Tensor, "batch head target _"], ...]  # the target at itself
    cross: tuple[Float[Tensor, "batch head target source"], ...]  # the target at the source


class Seq2Seq(nn.Module):
    """Two texts in, and for each token of the second, logits of the one that comes next, out.

    One table serves as the vectors of the source, those of the target, and the output layer.

    Args:
        generator: draws the initial weights.
    """

    def __init__(self, config: Seq2SeqConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.tokens = parts.table(config.vocab_size, config.d_model)
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = nn.ModuleList(_block(EncoderBlock, config) for _ in range(config.num_layers))
        self.decoder = nn.ModuleList(_block(DecoderBlock, config) for _ in range(config.num_layers))
        self.bias = nn.Parameter(torch.zeros(config.vocab_size)) if config.output_bias else None
        # The sines and cosines, once they are needed: no buffer, which `.to` would round.
        self._positions: Tensor | None = None
        self.apply(partial(_draw, generator=generator))

    def forward(
        self,
        source_ids: Integer[Tensor, "batch source"],
        target_ids: Integer[Tensor, "batch target"],
        source_mask: Bool[Tensor, "#batch 1 source"] | None = None,
        target_mask: Bool[Tensor, "#batch #target target"] | None = None,
        *,
        return_weights: bool = False,
    ) -> (
        Float[Tensor, "batch target vocab_size"]
        | tuple[Float[Tensor, "batch target vocab_size"], Seq2SeqWeights]
    ):
        """Logits of the token that follows each of `target_ids`, given the whole source.

        Args:
            target_ids: begin with a token that stands for the beginning; each position sees those
                up to its own.
            source_mask: True where one may look; `padding_mask(source_ids, pad_id)` hides padding.
            target_mask: likewise for the target, where the future is hidden in any case.
            return_weights: return the attention weights too.

        Raises:
            ValueError: if there are more tokens than positions, the shapes of ids and masks do not
                go together, or ids are outside the vocabulary (on a GPU, where reading them would
                make it wait, torch's own error comes instead).
            TypeError: if ids are not integers, or a mask is not boolean.
        """
        context, encoder = self._encode(source_ids, source_mask, return_weights)
        if len(target_ids) != len(source_ids):
            raise ValueError(
                f"target_ids has {len(target_ids)} rows: expected {len(source_ids)}, one for each "
                "of source_ids"
            )
        logits, decoder, cross = self._decode(
            target_ids, context, source_mask, target_mask, None, return_weights
        )
        return (logits, Seq2SeqWeights(encoder, decoder, cross)) if return_weights else logits

    def encode(
        self,
        source_ids: Integer[Tensor, "batch source"],
        source_mask: Bool[Tensor, "#batch 1 source"] | None = None,
        *,
        return_weights: bool = False,
    ) -> (
        Float[Tensor, "batch source d_model"]
        | tuple[
            Float[Tensor, "batch source d_model"],
            tuple[Float[Tensor, "batch head source source"], ...],
        ]
    ):
        """The context that the decoder looks at, or (context, attention weights of every layer)."""
        context, weights = self._encode(source_ids, source_mask, return_weights)
        return (context, weights) if return_weights else context

    def decode(
        self,
        target_ids: Integer[Tensor, "batch target"],
        context: Float[Tensor, "batch source d_model"],
        source_mask: Bool[Tensor, "#batch 1 source"] | None = None,
        target_mask: Bool[Tensor, "#batch #target k"] | None = None,
        *,
        cache: Sequence[KeyValueCache] | None = None,
        return_weights: bool = False,
    ) -> (
        Float[Tensor, "batch target vocab_size"]
        | tuple[
            Float[Tensor, "batch target vocab_size"],
            tuple[Float[Tensor, "batch head target _"], ...],
            tuple[Float[Tensor, "batch head target source"], ...],
        ]
    ):
        """Logits of the next token, or (logits, weights on the target, weights on the source).

        Args:
            context: what `encode` gave.
            target_mask: with a cache, over the tokens in it and then `target_ids`.
            cache: of the tokens before `target_ids`, from `new_cache`; each call adds to it.
        """
        logits, weights, cross = self._decode(
            target_ids, context, source_mask, target_mask, cache, return_weights
        )
        return (logits, weights, cross) if return_weights else logits

    def new_cache(self, max_len: int | None = None) -> list[KeyValueCache]:
        """An empty cache for each layer of the decoder, with room for `max_len` target tokens.

        As many as the model has positions, unless given.
        """
        max_len = self.config.max_len if max_len is None else max_len
        return [KeyValueCache(max_len) for _ in self.decoder]

    def _encode(
        self, source_ids: Tensor, mask: Tensor | None, return_weights: bool
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        parts.check_ids("source_ids", source_ids, self.config.vocab_size, self.config.max_len)
        _check_mask("source_mask", mask, (len(source_ids), 1, source_ids.shape[1]))
        x, weights = self._embed(source_ids, 0), []
        for block in self.encoder:
            x = block(x, mask, return_weights=return_weights)
            if return_weights:
                x, layer_weights = x
                weights.append(layer_weights)
        return x, tuple(weights)

    def _decode(
        self,
        target_ids: Tensor,
        context: Tensor,
        source_mask: Tensor | None,
        mask: Tensor | None,
        cache: Sequence[KeyValueCache] | None,
        return_weights: bool,
    ) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        past = self._check_target(target_ids, context, source_mask, mask, cache)
        x, weights, cross = self._embed(target_ids, past), [], []
        if cache is None:  # with one, attention is causal by itself
            causal = causal_mask(target_ids.shape[1], x.device)
            mask = causal if mask is None else mask & causal
        for layer, block in enumerate(self.decoder):
            layer_cache = None if cache is None else cache[layer]
            x = block(
                x, context, mask, source_mask, cache=layer_cache, return_weights=return_weights
            )
            if return_weights:
                x, layer_weights, layer_cross = x
                weights.append(layer_weights)
                cross.append(layer_cross)
        return F.linear(x, self.tokens.weight, self.bias), tuple(weights), tuple(cross)

    def _embed(self, ids: Tensor, past: int) -> Float[Tensor, "batch seq d_model"]:
        """sqrt(d_model) E[id] + P[position]: which token, and where, `past` others being before."""
        x = math.sqrt(self.config.d_model) * self.tokens(ids)
        return self.dropout(x + self._sinusoids(x)[past : past + ids.shape[1]])

    def _sinusoids(self, x: Tensor) -> Float[Tensor, "max_len d_model"]:
        """The table of positions in the precision of x, and where x is; kept for the next call."""
        table = self._positions
        if table is None or table.dtype != x.dtype or table.device != x.device:
            size, width = self.config.max_len, self.config.d_model
            table = sinusoidal_positions(size, width, device=x.device, dtype=x.dtype)
            self._positions = table
        return table

    def _check_target(
        self,
        target_ids: Tensor,
        context: Tensor,
        source_mask: Tensor | None,
        mask: Tensor | None,
        cache: Sequence[KeyValueCache] | None,
    ) -> int:
        """Refuse what does not go together; return how many target tokens came before."""
        if cache is not None and len(cache) != len(self.decoder):
            raise ValueError(
                f"cache is for {len(cache)} layers: expected num_layers={len(self.decoder)}"
            )
        past = 0 if cache is None else cache[0].length
        sizes = self.config.vocab_size, self.config.max_len
        parts.check_ids("target_ids", target_ids, *sizes, past)
        batch, size = target_ids.shape
        if context.ndim != 3 or len(context) != batch or context.shape[2] != self.config.d_model:
            raise ValueError(
                f"context has shape {tuple(context.shape)}: expected what `encode` gave, "
                f"[batch source d_model] with batch={batch} and d_model={self.config.d_model}"
            )
        _check_mask("source_mask", source_mask, (batch, 1, context.shape[1]))
        _check_mask("target_mask", mask, (batch, size, past + size))
        return past


def _block(
    kind: type[EncoderBlock] | type[DecoderBlock], config: Seq2SeqConfig
) -> EncoderBlock | DecoderBlock:
    return kind(
        config.d_model,
        config.num_heads,
        config.d_ff,
        dropout=config.dropout,
        activation=config.activation,
        eps=config.eps,
    )


def _draw(module: nn.Module, generator: torch.Generator | None) -> None:
    """Initial weights, of which the paper says nothing; torch's `nn.Transformer` takes Xavier's.

    A linear layer then keeps the size of what goes through it, there and back. A token's vector
    times sqrt(d_model) has coordinates of size 1, like those of its position, and, as an output
    layer, the table gives logits of size 1.
    """
    if isinstance(module, nn.Embedding) and not module.weight.is_meta:
        std = module.embedding_dim**-0.5
        nn.init.normal_(module.weight, std=std, generator=generator)
    if isinstance(module, nn.Linear) and not module.weight.is_meta:
        nn.init.xavier_uniform_(module.weight, generator=generator)
        nn.init.zeros_(module.bias)


def _check_mask(name: str, mask: Tensor | None, sizes: tuple[int, int, int]) -> None:
    """Refuse a mask that is not boolean, or does not broadcast to `sizes`."""
    if mask is None:
        return
    if mask.dtype != torch.bool:
        raise TypeError(f"{name} is {mask.dtype}: expected torch.bool, True where one may look")
    fits = mask.ndim == 3 and mask.shape[2] == sizes[2]
    if not fits or any(m not in (1, n) for m, n in zip(mask.shape, sizes, strict=True)):
        raise ValueError(
            f"{name} has shape {tuple(mask.shape)}: expected one that broadcasts to {sizes}, "
            "as padding_mask gives"
        )
