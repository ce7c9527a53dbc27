"""A linear layer that stays as it is, and beside it a small one that learns what to add.

Reference: Hu et al. (2021), "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class LoRALinear(nn.Module):
    """W x + b + (alpha / r) B A x: W [d_out d_in] is frozen, B [d_out r] and A [r d_in] learn.

    B is zero at first, so that the layer computes what it did. r is far below d_in and d_out: a
    layer of 768 to 768 has 589,824 weights, and at r = 8 learns with 12,288.

    Args:
        linear: the layer with W and b, which this one keeps and freezes.
        rank: r.
        alpha: at alpha = r, B A is added as it is. Other ranks can then be tried at the same rate.
        dropout: share of x set to zero on the way to A, in training.
        generator: draws A, on the CPU.

    Attributes:
        lora_a, lora_b: A and B, in the precision of W.
        merged: whether (alpha / r) B A has been added to W; then W x + b is the whole answer.
    """

    def __init__(
        self,
        linear: nn.Linear,
        rank: int,
        *,
        alpha: float,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(linear, nn.Linear):
            raise TypeError(f"linear is a {type(linear).__name__}: expected an nn.Linear")
        check_options(rank, alpha, dropout)
        self.rank, self.alpha, self.merged = rank, alpha, False
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.linear = linear.requires_grad_(False)
        self.dropout = nn.Dropout(dropout)
        self.lora_a = nn.Parameter(_draw(rank, linear, generator))
        self.lora_b = nn.Parameter(linear.weight.new_zeros(linear.out_features, rank))

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        """The answer.

        Raises:
            RuntimeError: if it is to train while merged: A and B would get no gradient.
        """
        if not self.merged:
            low = F.linear(self.dropout(x), self.lora_a)  # never B A: it would be as large as W
            return self.linear(x) + self.scale * F.linear(low, self.lora_b)
        if self.training and torch.is_grad_enabled() and self.lora_a.requires_grad:
            raise RuntimeError(
                "this LoRALinear is merged and in training: expected lora.unmerge(model) before "
                "training goes on, or model.eval()"
            )
        return self.linear(x)

    @property
    def scale(self) -> float:
        """alpha / r."""
        return self.alpha / self.rank

    @property
    def weight(self) -> Float[Tensor, "d_out d_in"]:
        """W + (alpha / r) B A: what x is multiplied by (without dropout).

        For a model that multiplies by its last layer's matrix instead of calling the layer.
        """
        return self.linear.weight if self.merged else self.linear.weight + self.update()

    @property
    def bias(self) -> Float[Tensor, " d_out"] | None:
        return self.linear.bias

    def update(self) -> Float[Tensor, "d_out d_in"]:
        """(alpha / r) B A, what is added to W; multiplied out in at least float32."""
        precise = torch.promote_types(self.lora_a.dtype, torch.float32)
        product = self.scale * (self.lora_b.to(precise) @ self.lora_a.to(precise))
        return product.to(self.lora_a.dtype)

    @torch.no_grad()
    def merge(self) -> None:
        """W <- W + (alpha / r) B A, unless that has been done."""
        if not self.merged:
            self.linear.weight += self.update()
            self.merged = True

    @torch.no_grad()
    def unmerge(self) -> None:
        """W <- W - (alpha / r) B A, if it is merged.

        The W of before to the last digit or two, not to the bit: W + D was rounded. Every number is
        off by at most the spacing of floating-point numbers at |W| + |D|.
        """
        if self.merged:
            self.linear.weight -= self.update()
            self.merged = False

    def extra_repr(self) -> str:
        return f"rank={self.rank}, alpha={self.alpha:g}" + (", merged" if self.merged else "")


def check_options(rank: int, alpha: float, dropout: float) -> None:
    if rank < 1:
        raise ValueError(f"rank={rank}: expected at least 1")
    if not 0 < alpha < math.inf:
        raise ValueError(f"alpha={alpha}: expected a finite number above 0")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout}: expected a share from 0 up to, but not including, 1")


def _draw(rank: int, linear: nn.Linear, generator: torch.Generator | None) -> Tensor:
    """Even between -1/√d_in and 1/√d_in, as the authors' own code does; the paper says Gaussian."""
    if linear.weight.is_meta:
        return linear.weight.new_empty(rank, linear.in_features)
    drawn = torch.empty(rank, linear.in_features)
    bound = linear.in_features**-0.5
    return drawn.uniform_(-bound, bound, generator=generator).to(linear.weight)
