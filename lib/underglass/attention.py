"""Scaled dot-product attention, its masks, and many heads of it.

References: Vaswani et al. (2017), "Attention Is All You Need", section 3.2;
Ainslie et al. (2023), "GQA", section 2.2 (`num_kv_heads`).
Chapter: chapters/04_attention.ipynb
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from underglass.cache import KeyValueCache
from underglass.positions import RotaryPositions


def scaled_dot_product_attention(
    query: Float[Tensor, "*batch q d_head"],
    key: Float[Tensor, "*batch k d_head"],
    value: Float[Tensor, "*batch k d_v"],
    mask: Bool[Tensor, "*#batch #q #k"] | None = None,
) -> tuple[Float[Tensor, "*batch q d_v"], Float[Tensor, "*batch q k"]]:
    """softmax(Q K^T / sqrt(d_head)) V: each query takes a weighted mean of the values.

    Args:
        mask: True where a query may look at a key.

    Returns:
        The output, and the attention weights. Each row of weights sums to 1; a query that may look
        at no key gets zeros in both.

    Raises:
        ValueError: if the shapes of query, key, value and mask do not go together.
        TypeError: if the mask is not boolean.
    """
    _check_shapes(query, key, value)
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    if mask is None:
        weights = scores.softmax(dim=-1)
    else:
        _check_mask(mask, scores.shape)
        weights = scores.masked_fill(~mask, -math.inf).softmax(dim=-1)  # exp(-inf) is 0
        weights = weights.masked_fill(~mask, 0.0)  # where all scores are -inf, softmax is 0 / 0
    return weights @ value, weights


def causal_mask(
    size: int, device: torch.device | None = None, *, past: int = 0
) -> Bool[Tensor, "{size} {past+size}"]:
    """Position i may look at positions 0..i: a lower triangle.

    Args:
        past: how many earlier positions everyone may look at, as with a cache: columns to the left.
    """
    return torch.ones(size, past + size, dtype=torch.bool, device=device).tril(past)


def padding_mask(ids: Integer[Tensor, "batch seq"], pad_id: int) -> Bool[Tensor, "batch 1 seq"]:
    """Everyone may look at a token that is not padding; joins others by `&`.

    Raises:
        ValueError: if a row of `ids` is padding only: attention would have nothing to look at.
    """
    if ids.ndim != 2:
        raise ValueError(f"ids has shape {tuple(ids.shape)}: expected [batch seq]")
    mask = ids != pad_id
    if not mask.any(dim=1).all():
        row = int(mask.any(dim=1).int().argmin())
        raise ValueError(
            f"ids[{row}] is only padding (pad_id={pad_id}): expected a token to look at"
        )
    return mask[:, None, :]


class MultiHeadAttention(nn.Module):
    """Attention in `num_heads` subspaces at once: Concat(head_1, ..., head_h) W_out.

    Args:
        num_kv_heads: heads of keys and values, each shared by `num_heads // num_kv_heads` heads of
            queries (grouped-query attention); as many as `num_heads` unless given.
        bias: whether the four projections have one.
        dropout: share of the weights set to zero in training.
        rotary: turns queries and keys by their position.

    Raises:
        ValueError: if the heads do not divide the width, or the key heads the query heads.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        *,
        num_kv_heads: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        rotary: RotaryPositions | None = None,
    ) -> None:
        super().__init__()
        num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        _check_heads(d_model, num_heads, num_kv_heads, dropout, rotary)
        self.d_head = d_model // num_heads
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        self.dropout, self.rotary = dropout, rotary
        self.q_proj = nn.Linear(d_model, d_model, bias=bias)
        self.k_proj = nn.Linear(d_model, num_kv_heads * self.d_head, bias=bias)
        self.v_proj = nn.Linear(d_model, num_kv_heads * self.d_head, bias=bias)
        self.out_proj = nn.Linear(d_model, d_model, bias=bias)

    def forward(
        self,
        x: Float[Tensor, "batch q d_model"],
        context: Float[Tensor, "batch k d_model"] | None = None,
        *,
        mask: Bool[Tensor, "..."] | None = None,
        positions: Integer[Tensor, "batch q"] | None = None,
        cache: KeyValueCache | None = None,
        return_weights: bool = False,
    ) -> (
        Float[Tensor, "batch q d_model"]
        | tuple[Float[Tensor, "batch q d_model"], Float[Tensor, "batch head q _"]]
    ):
        """Let x look at `context` (cross-attention), or at itself where there is none.

        Args:
            mask: True where a query may look at a key; broadcasts to [batch q k], or, with an axis
                for the heads, to [batch head q k].
            positions: for rotary attention, where each row of x stands; counted on from the cache
                unless given.
            cache: keys and values of the positions before x. With it attention is causal, and k
                counts the cached positions and those of x.
            return_weights: return the weights too. Without them the fused kernel does the work.

        Returns:
            The output, or (output, weights [batch head q k]); the weights are those before dropout.

        Raises:
            ValueError: if the shapes of x, context, mask and cache do not go together.
            TypeError: if the mask is not boolean.
        """
        past = 0 if cache is None else cache.length
        self._check_input(x, context, mask, past)
        if context is not None and (cache is not None or self.rotary is not None):
            raise ValueError("context is given: a cache and rotary positions need self-attention")
        if positions is not None and self.rotary is None:
            raise ValueError("positions are given: expected none, for this attention has no rotary")
        query, key, value = self._project(x, x if context is None else context, past, positions)
        if mask is not None and mask.ndim == 3:
            mask = mask[:, None]  # the same for every head
        if cache is not None:
            mask = _also_causal(mask, x.shape[1], past, x.device)
            key, value = cache.append(key, value)
        if return_weights:
            output, weights = self._explicit(query, key, value, mask)
            return self._merge(output), weights
        return self._merge(self._fused(query, key, value, mask))

    def _project(
        self, x: Tensor, source: Tensor, past: int, positions: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries of x, keys and values of its source, each [batch head seq d_head]."""
        query, key, value = (
            proj(origin).unflatten(-1, (-1, self.d_head)).transpose(1, 2)
            for proj, origin in ((self.q_proj, x), (self.k_proj, source), (self.v_proj, source))
        )
        if self.rotary is not None:
            places = None if positions is None else positions[:, None]  # the same for every head
            query, key = (self.rotary(rows, past, places=places) for rows in (query, key))
        return query, key, value

    def _merge(self, heads: Float[Tensor, "batch head q d_head"]) -> Tensor:
        return self.out_proj(heads.transpose(1, 2).flatten(2))  # heads side by side again

    def _explicit(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The formula itself: the weights exist, and can be returned."""
        group = self.num_heads // self.num_kv_heads
        key, value = (kv.repeat_interleave(group, dim=1) for kv in (key, value))
        output, weights = scaled_dot_product_attention(query, key, value, mask)
        if self.training and self.dropout:
            output = F.dropout(weights, self.dropout) @ value
        return output, weights

    def _fused(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """The same in one kernel, which never holds all the weights: faster, and less memory."""
        dropout = self.dropout if self.training else 0.0
        grouped = self.num_kv_heads < self.num_heads
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=dropout, enable_gqa=grouped
        )

    def _check_input(
        self, x: Tensor, context: Tensor | None, mask: Tensor | None, past: int
    ) -> None:
        width, source = self.q_proj.in_features, x if context is None else context
        for name, tensor in (("x", x), ("context", source)):
            if tensor.ndim != 3 or tensor.shape[0] != x.shape[0] or tensor.shape[2] != width:
                raise ValueError(
                    f"{name} has shape {tuple(tensor.shape)}: expected [batch seq d_model] "
                    f"with d_model={width}, and one batch for x and context"
                )
        if mask is not None:
            heads = [self.num_heads] if mask.ndim == 4 else []
            _check_mask(mask, [len(x), *heads, x.shape[1], past + source.shape[1]])


def _also_causal(mask: Tensor | None, size: int, past: int, device: torch.device) -> Tensor | None:
    if size == 1:  # the last position may look at everything
        return mask
    causal = causal_mask(size, device, past=past)
    return causal if mask is None else mask & causal


def _check_shapes(query: Tensor, key: Tensor, value: Tensor) -> None:
    if not (
        query.shape[:-2] == key.shape[:-2] == value.shape[:-2]
        and query.shape[-1] == key.shape[-1]
        and key.shape[-2] == value.shape[-2]
    ):
        raise ValueError(
            f"query {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)}: "
            "expected [*batch q d_head], [*batch k d_head], [*batch k d_v]"
        )


def _check_mask(mask: Tensor, sizes: Sequence[int]) -> None:
    """Refuse a mask that is not boolean, or does not broadcast to `sizes`."""
    if mask.dtype != torch.bool:
        raise TypeError(f"mask is {mask.dtype}: expected torch.bool, True where one may look")
    fits = all(m in (1, n) for m, n in zip(reversed(mask.shape), reversed(sizes), strict=False))
    if not 2 <= mask.ndim <= len(sizes) or not fits:
        axes = {3: "[batch q k]", 4: "[batch head q k]"}.get(len(sizes), "[*batch q k]")
        raise ValueError(
            f"mask has shape {tuple(mask.shape)}: expected one that broadcasts to "
            f"{axes} = {tuple(sizes)}"
        )


def _check_heads(
    d_model: int, num_heads: int, num_kv_heads: int, dropout: float, rotary: RotaryPositions | None
) -> None:
    if num_heads < 1 or d_model % num_heads:
        raise ValueError(f"d_model={d_model} is not divisible by num_heads={num_heads}")
    if num_kv_heads < 1 or num_heads % num_kv_heads:
        raise ValueError(f"num_heads={num_heads} is not divisible by num_kv_heads={num_kv_heads}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout}: expected a share from 0 up to, but not including, 1")
    if rotary is not None and rotary.d_head != d_model // num_heads:
        raise ValueError(
            f"rotary turns d_head={rotary.d_head} coordinates: "
            f"expected d_model / num_heads = {d_model // num_heads}"
        )
