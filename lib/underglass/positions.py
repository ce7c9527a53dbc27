"""Three ways to tell attention where a token stands: sinusoidal, learned and rotary positions.

References: Vaswani et al. (2017), "Attention Is All You Need", section 3.5 (sinusoidal);
Devlin et al. (2019), "BERT", section 3 (learned);
Su et al. (2021), "RoFormer", section 3.2 (rotary).
Chapter: chapters/04_attention.ipynb
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn


def sinusoidal_positions(
    max_len: int,
    d_model: int,
    *,
    base: float = 10000.0,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> Float[Tensor, "{max_len} {d_model}"]:
    """P[p, 2i] = sin(p / base^(2i/d_model)), P[p, 2i+1] = cos(p / base^(2i/d_model)).

    Raises:
        ValueError: if `d_model` is odd: sines and cosines come in pairs.
    """
    _check_pairs("d_model", d_model)
    angles = _angles(torch.arange(max_len), d_model, base)
    # sin and cos side by side in a last axis of 2, then laid out in turn: sin, cos, sin, cos, ...
    code = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
    return code.to(device, dtype or torch.get_default_dtype())


class LearnedPositions(nn.Module):
    """y_p = x_p + e_p: each of `max_len` positions has a learned vector e_p."""

    def __init__(self, max_len: int, d_model: int) -> None:
        super().__init__()
        self.max_len = max_len
        self.weight = nn.Parameter(torch.empty(max_len, d_model))
        if not self.weight.is_meta:  # drawing no numbers there would still take torch seconds
            nn.init.normal_(self.weight, std=0.02)  # BERT's and GPT-2's choice

    def forward(
        self,
        x: Float[Tensor, "*batch seq d_model"],
        offset: int = 0,
        *,
        places: Integer[Tensor, "*#batch seq"] | None = None,
    ) -> Float[Tensor, "*batch seq d_model"]:
        """Add the positions `offset`, `offset + 1`, ... to x (`offset`: how many came before).

        Args:
            places: the position of each vector, where they do not stand in a row like that.

        Raises:
            ValueError: if the last position is beyond `max_len`, or a place is out of range (on a
                GPU, where reading them would make it wait, torch's own error comes instead).
        """
        if places is not None:
            _check_places(places, x.shape[:-1], self.max_len)
            return x + self.weight[places]
        end = offset + x.shape[-2]
        if end > self.max_len:
            raise ValueError(f"x reaches position {end}: expected at most max_len={self.max_len}")
        return x + self.weight[offset:end]

    def extra_repr(self) -> str:
        return f"max_len={self.max_len}, d_model={self.weight.shape[1]}"


class RotaryPositions(nn.Module):
    """Turn the pair (x_i, x_{i + d_head/2}) at position p by the angle p / base^(2i/d_head).

    Rotated queries and keys have a dot product that depends on how far apart they stand, and not
    on where. Which coordinates make a pair is a convention: the paper pairs neighbours (0 with 1,
    2 with 3); here coordinate i goes with i + d_head/2, as in Llama's published weights.

    Raises:
        ValueError: if `d_head` is not even.
    """

    def __init__(self, d_head: int, *, base: float = 10000.0) -> None:
        super().__init__()
        _check_pairs("d_head", d_head)
        self.d_head = d_head
        self.base = base

    def forward(
        self,
        x: Float[Tensor, "*batch seq d_head"],
        offset: int = 0,
        *,
        places: Integer[Tensor, "*#batch seq"] | None = None,
    ) -> Float[Tensor, "*batch seq d_head"]:
        """Turn x, whose first row stands at position `offset`.

        Args:
            places: the position of each row, where they do not follow one another like that.

        Raises:
            ValueError: if x is not `d_head` wide, or the places do not go with its rows.
        """
        if x.shape[-1] != self.d_head:
            raise ValueError(f"x is {x.shape[-1]} wide: expected d_head={self.d_head}")
        if places is None:
            places = torch.arange(offset, offset + x.shape[-2], device=x.device)
        else:
            _check_places(places, x.shape[:-1])
        # Angles grow with the position, and bfloat16 cannot tell position 256 from 257.
        precise = torch.promote_types(x.dtype, torch.float32)
        angles = _angles(places, self.d_head, self.base, precise)
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        first, second = x.chunk(2, dim=-1)
        return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)

    def extra_repr(self) -> str:
        return f"d_head={self.d_head}, base={self.base:g}"


def _angles(
    places: Tensor, width: int, base: float, dtype: torch.dtype = torch.float64
) -> Float[Tensor, "*batch seq pair"]:
    """places[p] / base^(2i/width), for every position p and every pair i of coordinates."""
    exponents = torch.arange(0, width, 2, device=places.device, dtype=dtype) / width
    return places.to(dtype)[..., None] * base**-exponents


def _check_pairs(name: str, width: int) -> None:
    if width < 2 or width % 2:
        raise ValueError(f"{name}={width}: expected an even number, for coordinates go in pairs")


def _check_places(places: Tensor, rows: Sequence[int], max_len: int | None = None) -> None:
    """Refuse places that are not one whole number for each of the rows, or beyond `max_len`."""
    if places.is_floating_point() or places.is_complex() or places.dtype == torch.bool:
        raise TypeError(f"places is {places.dtype}: expected integers")
    fits = all(p in (1, n) for p, n in zip(reversed(places.shape), reversed(rows), strict=False))
    if not 1 <= places.ndim <= len(rows) or places.shape[-1] != rows[-1] or not fits:
        raise ValueError(
            f"places has shape {tuple(places.shape)}: expected one for each row of x, {tuple(rows)}"
        )
    if max_len is None or places.device.type != "cpu":
        return
    wrong = places[(places < 0) | (places >= max_len)]
    if len(wrong):
        raise ValueError(
            f"places holds {int(wrong[0])}: expected numbers from 0 to {max_len - 1} "
            f"(max_len={max_len})"
        )
