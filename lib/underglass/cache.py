"""What attention need not compute twice: the keys and values of positions already seen.

Reference: Shazeer (2019), "Fast Transformer Decoding", section 2.4 (incremental attention).
Chapter: chapters/04_attention.ipynb
"""

from jaxtyping import Float, Integer
from torch import Tensor


class KeyValueCache:
    """The keys and values of all positions so far, so that a new one computes only its own.

    Room for `max_len` positions is taken once, at the first use, in the shape, type and place of
    the keys that come in. One cache serves one layer, while generating (under `torch.no_grad()`).

    Raises:
        ValueError: if `max_len` is below 1.
    """

    def __init__(self, max_len: int) -> None:
        if max_len < 1:
            raise ValueError(f"max_len={max_len}: expected room for at least one position")
        self.max_len = max_len
        self.length = 0
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    def append(
        self,
        key: Float[Tensor, "batch head seq d_head"],
        value: Float[Tensor, "batch head seq d_head"],
    ) -> tuple[Float[Tensor, "batch head k d_head"], Float[Tensor, "batch head k d_head"]]:
        """Write behind what is there; return the keys and values of all positions so far.

        Raises:
            ValueError: if they do not fit behind what is there.
        """
        if self.keys is None or self.values is None:
            batch, heads, _, d_head = key.shape
            self.keys, self.values = (
                key.new_empty(batch, heads, self.max_len, d_head) for _ in range(2)
            )
        self._check_fits(key, self.keys)
        start, self.length = self.length, self.length + key.shape[2]
        self.keys[:, :, start : self.length] = key
        self.values[:, :, start : self.length] = value
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def select(self, rows: Integer[Tensor, " batch"]) -> None:
        """Go on with these sequences of the batch: one may be left out, or taken more than once."""
        if self.keys is not None and self.values is not None:
            self.keys, self.values = self.keys[rows], self.values[rows]

    def _check_fits(self, key: Tensor, room: Tensor) -> None:
        batch, heads, size, d_head = key.shape
        if (batch, heads, d_head) != (room.shape[0], room.shape[1], room.shape[3]):
            raise ValueError(
                f"keys are {heads} heads of {d_head} in a batch of {batch}: the cache was begun "
                f"with {room.shape[1]} heads of {room.shape[3]} in a batch of {room.shape[0]}"
            )
        if self.length + size > self.max_len:
            raise ValueError(
                f"the cache has room for max_len={self.max_len} positions: "
                f"{self.length} are taken, {size} more do not fit"
            )
