"""What surrounds attention in a Transformer: feed-forward nets, a norm, and the three blocks.

References: Vaswani et al. (2017), "Attention Is All You Need", sections 3.1 and 3.3;
Shazeer (2020), "GLU Variants Improve Transformer", section 2; Zhang and Sennrich (2019), "Root
Mean Square Layer Normalization", section 4; Devlin et al. (2019), "BERT", appendix A.2;
Radford et al. (2019), "Language Models are Unsupervised Multitask Learners", section 2.3.
Chapter: chapters/04_attention.ipynb
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from underglass.attention import MultiHeadAttention
from underglass.cache import KeyValueCache

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,  # the Transformer of 2017
    "gelu": F.gelu,  # BERT
    "gelu_tanh": partial(F.gelu, approximate="tanh"),  # GPT-2: a formula near it
    "silu": F.silu,
}


def check_activation(name: str) -> None:
    """Raises ValueError if `name` is not one of `ACTIVATIONS`."""
    if name not in ACTIVATIONS:
        raise ValueError(f"activation={name!r}: expected one of {', '.join(ACTIVATIONS)}")


class FeedForward(nn.Module):
    """W_out f(W_in x + b_in) + b_out: the same small net at every position.

    Args:
        activation: f, one of "relu", "gelu", "gelu_tanh" and "silu".

    Raises:
        ValueError: if the activation is another.
    """

    def __init__(self, d_model: int, d_ff: int, *, activation: str = "gelu") -> None:
        super().__init__()
        check_activation(activation)
        self.activation = activation
        self.in_proj = nn.Linear(d_model, d_ff)
        self.out_proj = nn.Linear(d_ff, d_model)

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        return self.out_proj(ACTIVATIONS[self.activation](self.in_proj(x)))

    def extra_repr(self) -> str:
        return f"activation={self.activation!r}"


class GatedFeedForward(nn.Module):
    """W_down (silu(W_gate x) * W_up x), or SwiGLU: one half says how much of the other passes."""

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(d_model, d_ff, bias=False)
        self.up_proj = nn.Linear(d_model, d_ff, bias=False)
        self.down_proj = nn.Linear(d_ff, d_model, bias=False)

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * g: every vector gets length sqrt(d_model), then a learned scale.

    Args:
        eps: keeps a vector of zeros from a division by zero.
    """

    def __init__(self, d_model: int, *, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model))

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        # A sum of many squares needs more digits than bfloat16 has.
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        mean_square = precise.square().mean(dim=-1, keepdim=True)
        return (precise * torch.rsqrt(mean_square + self.eps)).to(x.dtype) * self.weight

    def extra_repr(self) -> str:
        return f"d_model={len(self.weight)}, eps={self.eps:g}"


class EncoderBlock(nn.Module):
    """y = norm(x + attention(x)); norm(y + feed_forward(y)): BERT's block, norms after the sums.

    Args:
        dropout: share set to zero in training, of the attention weights and of what is added to x.
        eps: that of the two norms.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        d_ff: int,
        *,
        dropout: float = 0.0,
        activation: str = "gelu",
        eps: float = 1e-12,  # BERT's; the usual 1e-5 would move the published weights' outputs
    ) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(d_model, num_heads, dropout=dropout)
        self.attention_norm = nn.LayerNorm(d_model, eps=eps)
        self.feed_forward = FeedForward(d_model, d_ff, activation=activation)
        self.feed_forward_norm = nn.LayerNorm(d_model, eps=eps)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "batch seq d_model"],
        mask: Bool[Tensor, "..."] | None = None,
        *,
        return_weights: bool = False,
    ) -> (
        Float[Tensor, "batch seq d_model"]
        | tuple[Float[Tensor, "batch seq d_model"], Float[Tensor, "batch head seq seq"]]
    ):
        """Mask and return_weights are those of `MultiHeadAttention`."""
        attended = self.attention(x, mask=mask, return_weights=return_weights)
        attended, weights = attended if return_weights else (attended, None)
        x = self.attention_norm(x + self.dropout(attended))
        x = self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
        return x if weights is None else (x, weights)


class DecoderBlock(nn.Module):
    """EncoderBlock with a look at another text in between: the decoder's block of 2017.

    y = norm(x + attention(x)); z = norm(y + cross_attention(y, context)); norm(z + feed_forward(z))

    Args:
        dropout: share set to zero in training, of the attention weights and of what is added to x.
        eps: that of the three norms.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        d_ff: int,
        *,
        dropout: float = 0.0,
        activation: str = "relu",
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(d_model, num_heads, dropout=dropout)
        self.attention_norm = nn.LayerNorm(d_model, eps=eps)
        self.cross_attention = MultiHeadAttention(d_model, num_heads, dropout=dropout)
        self.cross_attention_norm = nn.LayerNorm(d_model, eps=eps)
        self.feed_forward = FeedForward(d_model, d_ff, activation=activation)
        self.feed_forward_norm = nn.LayerNorm(d_model, eps=eps)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "batch q d_model"],
        context: Float[Tensor, "batch k d_model"],
        mask: Bool[Tensor, "..."] | None = None,
        context_mask: Bool[Tensor, "..."] | None = None,
        *,
        cache: KeyValueCache | None = None,
        return_weights: bool = False,
    ) -> (
        Float[Tensor, "batch q d_model"]
        | tuple[
            Float[Tensor, "batch q d_model"],
            Float[Tensor, "batch head q _"],
            Float[Tensor, "batch head q k"],
        ]
    ):
        """The next x, or (x, weights on x, weights on the context).

        Args:
            mask: what x may see of x; give a causal one, unless there is a cache.
            context_mask: what x may see of the context.
        """
        attended = self.attention(x, mask=mask, cache=cache, return_weights=return_weights)
        attended, weights = attended if return_weights else (attended, None)
        x = self.attention_norm(x + self.dropout(attended))
        looked = self.cross_attention(x, context, mask=context_mask, return_weights=return_weights)
        looked, cross_weights = looked if return_weights else (looked, None)
        x = self.cross_attention_norm(x + self.dropout(looked))
        x = self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
        return x if weights is None or cross_weights is None else (x, weights, cross_weights)


class PreNormBlock(nn.Module):
    """y = x + attention(norm(x)); y + feed_forward(norm(y)): norms before, as in GPT-2 and since.

    Nothing stands in the way from the first x to the last: each block only adds to it.

    Args:
        attention, feed_forward, attention_norm, feed_forward_norm: the parts, all of one width;
            the models differ in them (LayerNorm in GPT-2, RMSNorm in Llama) and in nothing else.
        dropout: share set to zero in training of what is added to x.
    """

    def __init__(
        self,
        attention: MultiHeadAttention,
        attention_norm: nn.Module,
        feed_forward: nn.Module,
        feed_forward_norm: nn.Module,
        *,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.attention_norm, self.attention = attention_norm, attention
        self.feed_forward_norm, self.feed_forward = feed_forward_norm, feed_forward
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "batch seq d_model"],
        mask: Bool[Tensor, "..."] | None = None,
        *,
        positions: Integer[Tensor, "batch seq"] | None = None,
        cache: KeyValueCache | None = None,
        return_weights: bool = False,
    ) -> (
        Float[Tensor, "batch seq d_model"]
        | tuple[Float[Tensor, "batch seq d_model"], Float[Tensor, "batch head seq _"]]
    ):
        """Mask, positions, cache and return_weights are those of `MultiHeadAttention`."""
        attended = self.attention(
            self.attention_norm(x),
            mask=mask,
            positions=positions,
            cache=cache,
            return_weights=return_weights,
        )
        attended, weights = attended if return_weights else (attended, None)
        x = x + self.dropout(attended)
        x = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return x if weights is None else (x, weights)
