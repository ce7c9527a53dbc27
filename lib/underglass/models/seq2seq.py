"""The Transformer of 2017: an encoder that reads one text, and a decoder that writes another.

Reference: Vaswani et al. (2017), "Attention Is All You Need", section 3 and table 3.
Chapter: chapters/05_architectures.ipynb
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, overload

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from underglass.cache import KeyValueCache
from underglass.layers import DecoderBlock, EncoderBlock, check_activation
from underglass.models import parts
from underglass.positions import sinusoidal_positions

# Attention weights of all layers, from the input to the output: who looks, and at whom.
EncoderWeights = tuple[Float[Tensor, "batch head source source"], ...]
DecoderWeights = tuple[Float[Tensor, "batch head target _"], ...]
CrossWeights = tuple[Float[Tensor, "batch head target source"], ...]
Yes = Literal[True]
No = Literal[False]


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

    Raises:
        ValueError: if a number is out of its range, or the heads do not divide the width.
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
    """The attention weights of all layers: in each field one tensor a layer.

    Attributes:
        encoder: the source at itself.
        decoder: the target at itself.
        cross: the target at the source.
    """

    encoder: EncoderWeights
    decoder: DecoderWeights
    cross: CrossWeights


class Seq2Seq(nn.Module):
    """A text and the beginning of another in, logits of each next token of the other out.

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
        # Not a buffer: `.to` would round that, and a model that was float32 once would stay so.
        self._positions: Tensor | None = None
        _initialize(self, generator)

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
            target_mask: likewise for the target, whose future is hidden in any case.
            return_weights: return the attention weights too.

        Raises:
            ValueError: if there are more tokens than positions, the shapes of ids and masks do not
                go together, or ids are outside the vocabulary (on a GPU, where reading them would
                make it wait, torch's own error comes instead).
            TypeError: if ids are not integers, or a mask is not boolean.
        """
        self._check_source(source_ids, source_mask)
        self._check_target(target_ids, target_mask)
        if len(target_ids) != len(source_ids):
            raise ValueError(
                f"target_ids has {len(target_ids)} rows: expected {len(source_ids)}, "
                "one for each of source_ids"
            )
        if not return_weights:
            context = self.encode(source_ids, source_mask)
            return self.decode(target_ids, context, source_mask, target_mask)
        context, encoder = self.encode(source_ids, source_mask, return_weights=True)
        logits, decoder, cross = self.decode(
            target_ids, context, source_mask, target_mask, return_weights=True
        )
        return logits, Seq2SeqWeights(encoder, decoder, cross)

    @overload
    def encode(
        self, source_ids: Tensor, source_mask: Tensor | None = ..., *, return_weights: No = ...
    ) -> Tensor: ...
    @overload
    def encode(
        self, source_ids: Tensor, source_mask: Tensor | None = ..., *, return_weights: Yes
    ) -> tuple[Tensor, EncoderWeights]: ...

    def encode(
        self,
        source_ids: Integer[Tensor, "batch source"],
        source_mask: Bool[Tensor, "#batch 1 source"] | None = None,
        *,
        return_weights: bool = False,
    ) -> (
        Float[Tensor, "batch source d_model"]
        | tuple[Float[Tensor, "batch source d_model"], EncoderWeights]
    ):
        """The context that the decoder looks at, or (context, attention weights of every layer).

        Raises:
            ValueError, TypeError: as `forward`.
        """
        self._check_source(source_ids, source_mask)
        x, weights = self._embed(source_ids), []
        for block in self.encoder:
            x = block(x, source_mask, return_weights=return_weights)
            if return_weights:
                x, layer_weights = x
                weights.append(layer_weights)
        return (x, tuple(weights)) if return_weights else x

    @overload
    def decode(
        self,
        target_ids: Tensor,
        context: Tensor,
        source_mask: Tensor | None = ...,
        target_mask: Tensor | None = ...,
        *,
        cache: Sequence[KeyValueCache] | None = ...,
        return_weights: No = ...,
    ) -> Tensor: ...
    @overload
    def decode(
        self,
        target_ids: Tensor,
        context: Tensor,
        source_mask: Tensor | None = ...,
        target_mask: Tensor | None = ...,
        *,
        cache: Sequence[KeyValueCache] | None = ...,
        return_weights: Yes,
    ) -> tuple[Tensor, DecoderWeights, CrossWeights]: ...

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
        | tuple[Float[Tensor, "batch target vocab_size"], DecoderWeights, CrossWeights]
    ):
        """Logits of the next token, or (logits, weights on the target, weights on the source).

        Args:
            context: what `encode` gave.
            target_mask: with a cache, over the tokens in it and then `target_ids`.
            cache: of the tokens before `target_ids`, from `new_cache`; each call adds to it.

        Raises:
            ValueError, TypeError: as `forward`, also for a context or a cache that does not fit.
        """
        past = self._check_target(target_ids, target_mask, cache)
        self._check_context(context, len(target_ids), source_mask)
        x, weights, cross = self._embed(target_ids, past), [], []
        masks = parts.also_causal(target_mask, target_ids, cache), source_mask
        for layer, block in enumerate(self.decoder):
            own = None if cache is None else cache[layer]
            x = block(x, context, *masks, cache=own, return_weights=return_weights)
            if return_weights:
                x, layer_weights, layer_cross = x
                weights.append(layer_weights)
                cross.append(layer_cross)
        logits = F.linear(x, self.tokens.weight, self.bias)
        return (logits, tuple(weights), tuple(cross)) if return_weights else logits

    def new_cache(self, max_len: int | None = None) -> list[KeyValueCache]:
        """An empty cache for each layer of the decoder, with room for `max_len` target tokens."""
        room = self.config.max_len if max_len is None else max_len
        return [KeyValueCache(room) for _ in self.decoder]

    def _embed(self, ids: Tensor, past: int = 0) -> Float[Tensor, "batch seq d_model"]:
        """sqrt(d_model) E[id] + P[position]: which token, and where, behind `past` others."""
        x = math.sqrt(self.config.d_model) * self.tokens(ids)
        return self.dropout(x + self._sinusoids(x)[past : past + ids.shape[1]])

    def _sinusoids(self, x: Tensor) -> Float[Tensor, "max_len d_model"]:
        """P in the precision of x and where x is, made when it is first needed there."""
        made = self._positions
        if made is None or (made.dtype, made.device) != (x.dtype, x.device):
            max_len, d_model = self.config.max_len, self.config.d_model
            made = sinusoidal_positions(max_len, d_model, device=x.device, dtype=x.dtype)
            self._positions = made
        return made

    def _check_source(self, ids: Tensor, mask: Tensor | None) -> None:
        parts.check_ids("source_ids", ids, self.config.vocab_size, self.config.max_len)
        _check_mask("source_mask", mask, (len(ids), 1, ids.shape[1]))

    def _check_target(
        self, ids: Tensor, mask: Tensor | None, cache: Sequence[KeyValueCache] | None = None
    ) -> int:
        """Refuse what does not go together; return how many target tokens came before."""
        past = parts.past_of(cache, len(self.decoder))
        parts.check_ids("target_ids", ids, self.config.vocab_size, self.config.max_len, past)
        _check_mask("target_mask", mask, (len(ids), ids.shape[1], past + ids.shape[1]))
        return past

    def _check_context(self, context: Tensor, batch: int, mask: Tensor | None) -> None:
        if not isinstance(context, Tensor):
            raise TypeError(f"context is a {type(context).__name__}: expected a tensor")
        d_model = self.config.d_model
        if context.ndim != 3 or (len(context), context.shape[2]) != (batch, d_model):
            raise ValueError(
                f"context has shape {tuple(context.shape)}: expected [batch source d_model] with "
                f"batch={batch}, as target_ids, and d_model={d_model}"
            )
        _check_mask("source_mask", mask, (batch, 1, context.shape[1]))


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


def _initialize(model: nn.Module, generator: torch.Generator | None) -> None:
    """Draw the weights as torch's `nn.Transformer` does; the paper does not say how.

    Xavier's width keeps the size of what goes through a linear layer, there and back. The three
    into queries, keys and values count as one, as torch stores them, and so are smaller: attention
    starts out more even. A token's vector times sqrt(d_model) has numbers of size 1, about as large
    as those of its position.
    """
    for name, module in model.named_modules():
        if not isinstance(module, nn.Linear | nn.Embedding) or module.weight.is_meta:
            continue
        if isinstance(module, nn.Embedding):
            std = module.embedding_dim**-0.5
            nn.init.normal_(module.weight, std=std, generator=generator)
        else:
            gain = 0.5**0.5 if name.endswith(("q_proj", "k_proj", "v_proj")) else 1.0
            nn.init.xavier_uniform_(module.weight, gain=gain, generator=generator)
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
