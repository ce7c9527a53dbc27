"""A decoder all of whose parts can be chosen: those of 2017, of GPT-2, of today, or a mixture.

References: Vaswani et al. (2017), "Attention Is All You Need", section 3; Radford et al. (2019),
"Language Models are Unsupervised Multitask Learners", section 2.3; Touvron et al. (2023), "LLaMA",
section 2.2; Touvron et al. (2023), "Llama 2", section 2.2.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Integer
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from underglass.attention import MultiHeadAttention, causal_mask
from underglass.layers import FeedForward, GatedFeedForward, PreNormBlock, RMSNorm
from underglass.models import parts
from underglass.positions import LearnedPositions, RotaryPositions, sinusoidal_positions

EPS = 1e-5
ADDED = ("out_proj.weight", "down_proj.weight")  # what these make is added to x
CHOICES = {
    "norms": ("after", "before"),
    "norm": ("layer", "rms"),
    "feed_forward": ("relu", "gelu", "swiglu"),
    "positions": ("sinusoidal", "learned", "rotary"),
}


@dataclass(frozen=True)
class Design:
    """What a decoder is made of; unless given, what the Transformer of 2017 was made of.

    Attributes:
        norms: "after" the sum x + f(x), or "before" f, with one more at the end.
        norm: "layer" (LayerNorm) or "rms" (RMSNorm).
        feed_forward: "relu" or "gelu", four times as wide as x; or "swiglu", with three matrices
            in place of two, and two thirds of that width.
        positions: "sinusoidal" or "learned", added to x; or "rotary", in every attention.
        biases: whether attention and feed-forward nets have them.
        num_kv_heads: heads of keys and values, each shared by as many heads of queries.
        tied: whether the table of tokens scores the next one too.

    Raises:
        ValueError: if a choice is none of these.
    """

    norms: str = "after"
    norm: str = "layer"
    feed_forward: str = "relu"
    positions: str = "sinusoidal"
    biases: bool = True
    num_kv_heads: int = 4
    tied: bool = True
    vocab_size: int = 512
    max_len: int = 64
    d_model: int = 64
    num_layers: int = 4
    num_heads: int = 4

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if (value := getattr(self, name)) not in known:
                raise ValueError(f"{name}={value!r}: expected one of {', '.join(known)}")

    @property
    def d_ff(self) -> int:
        """The width of the feed-forward net: two thirds, if there is a third matrix."""
        wide = 4 * self.d_model
        return round(2 / 3 * wide) if self.feed_forward == "swiglu" else wide


class PostNormBlock(PreNormBlock):
    """y = norm(x + attention(x)); norm(y + feed_forward(y)): the norms come after the sums."""

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], mask: Tensor | None = None, **_
    ) -> Tensor:
        attended, _weights = self.attention(x, mask=mask, return_weights=True)
        x = self.attention_norm(x + attended)
        return self.feed_forward_norm(x + self.feed_forward(x))


class Decoder(nn.Module):
    """Token ids in, logits of the next token out: a language model of this design.

    Args:
        seed: draws the initial weights, on the CPU.
    """

    def __init__(self, design: Design, seed: int) -> None:
        super().__init__()
        self.design = d = design
        self.tokens = parts.table(d.vocab_size, d.d_model)
        learned = d.positions == "learned"
        self.positions = LearnedPositions(d.max_len, d.d_model) if learned else None
        kind = PreNormBlock if d.norms == "before" else PostNormBlock
        self.blocks = nn.ModuleList(_block(kind, d) for _ in range(d.num_layers))
        self.norm = _norm(d) if d.norms == "before" else nn.Identity()
        self.output = None if d.tied else nn.Linear(d.d_model, d.vocab_size, bias=False)
        self._draw(torch.Generator().manual_seed(seed))

    def forward(self, ids: Integer[Tensor, "batch seq"]) -> Float[Tensor, "batch seq vocab_size"]:
        x = self._embed(ids)
        mask = causal_mask(ids.shape[1], ids.device)
        for block in self.blocks:
            x = block(x, mask, return_weights=True)  # the plain formula: on a CPU the faster one
            x = x[0] if isinstance(x, tuple) else x
        x = self.norm(x)
        return F.linear(x, self.tokens.weight if self.output is None else self.output.weight)

    def _embed(self, ids: Tensor) -> Tensor:
        x, d = self.tokens(ids), self.design
        if d.positions == "sinusoidal":  # section 3.4: as large as the sines that are added
            code = sinusoidal_positions(ids.shape[1], d.d_model, device=x.device, dtype=x.dtype)
            return math.sqrt(d.d_model) * x + code
        return x if self.positions is None else self.positions(x)

    @torch.no_grad()
    def _draw(self, generator: torch.Generator) -> None:
        """As GPT-2 does; but its 0.02 is for a width of 768, and a narrower model needs more."""
        parts.initialize(self, generator)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                weight.mul_((768 / self.design.d_model) ** 0.5)
            if self.design.norms == "before" and name.endswith(ADDED):
                weight.mul_((2 * self.design.num_layers) ** -0.5)  # its section 2.3


def _block(kind: type[PreNormBlock], d: Design) -> PreNormBlock:
    rotary = RotaryPositions(d.d_model // d.num_heads) if d.positions == "rotary" else None
    attention = MultiHeadAttention(
        d.d_model, d.num_heads, num_kv_heads=d.num_kv_heads, bias=d.biases, rotary=rotary
    )
    return kind(attention, _norm(d), _feed_forward(d), _norm(d))


def _norm(d: Design) -> nn.Module:
    return RMSNorm(d.d_model, eps=EPS) if d.norm == "rms" else nn.LayerNorm(d.d_model, eps=EPS)


def _feed_forward(d: Design) -> nn.Module:
    if d.feed_forward == "swiglu":
        return GatedFeedForward(d.d_model, d.d_ff)  # never has biases
    net = FeedForward(d.d_model, d.d_ff, activation=d.feed_forward)
    if not d.biases:
        for linear in (net.in_proj, net.out_proj):
            linear.register_parameter("bias", None)
    return net


def flops(decoder: Decoder, seq: int = 64) -> int:
    """Operations of matrix products that one token takes forward, in a text of `seq` tokens."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        decoder(torch.zeros(1, seq, dtype=torch.int64, device=decoder.tokens.weight.device))
    return counter.get_total_flops() // seq
