"""A model, one step at a time: tokens in, the logits of the next one out, with a cache or without.

Reference: Shazeer (2019), "Fast Transformer Decoding", section 2.4 (incremental attention).
Chapter: chapters/10_generation.ipynb
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from underglass.generation.prompts import pad_left
from underglass.models.seq2seq import Seq2Seq


class Steps:
    """What a model has read so far, row by row, and what it says comes next.

    Args:
        prompts: one row each, of any lengths.
        max_new_tokens: how many tokens are to come, at most.
        use_cache: keep the keys and values of what was read; without, all of it is read again at
            each step.
        source_ids, source_mask: what an encoder-decoder's encoder reads.
    """

    def __init__(
        self,
        model: nn.Module,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        *,
        use_cache: bool = True,
        source_ids: Tensor | None = None,
        source_mask: Tensor | None = None,
    ) -> None:
        self.model = model
        device = next(model.parameters()).device
        self.ids, self.mask, self.places = pad_left(prompts, device)
        self.padded = not bool(self.mask.all())
        self.context, self.source_mask = self._encode(source_ids, source_mask)
        room = self.ids.shape[1] + max_new_tokens - 1
        self.cache = model.new_cache(room) if use_cache else None  # pyright: ignore[reportCallIssue]
        self._read = 0  # so many columns of ids are in the cache

    def logits(self) -> Float[Tensor, "batch vocab_size"]:
        """Those of the token that comes next.

        Raises:
            FloatingPointError: if the model gives NaN.
        """
        fresh = slice(self._read, None)
        logits = self._call(self.ids[:, fresh], self.places[:, fresh])[:, -1]
        if self.cache is not None:
            self._read = self.ids.shape[1]
        if logits.isnan().any():
            raise FloatingPointError(
                f"the model gives NaN as logits after {self.ids.shape[1]} tokens: "
                "expected numbers; its weights may be NaN too"
            )
        return logits

    def append(self, tokens: Integer[Tensor, " batch"]) -> None:
        """Put a token at the end of each row."""
        self.ids = torch.cat([self.ids, tokens[:, None].to(self.ids)], dim=1)
        self.mask = torch.cat([self.mask, torch.ones_like(self.mask[:, :1])], dim=1)
        self.places = torch.cat([self.places, self.places[:, -1:] + 1], dim=1)

    def select(self, rows: Integer[Tensor, " batch"]) -> None:
        """Go on with these rows: one may be left out, or taken more than once."""
        self.ids, self.mask, self.places = self.ids[rows], self.mask[rows], self.places[rows]
        if self.context is not None:
            self.context = self.context[rows]
            self.source_mask = None if self.source_mask is None else self.source_mask[rows]
        for layer in self.cache or []:
            layer.select(rows)

    def _call(self, ids: Tensor, places: Tensor) -> Float[Tensor, "batch seq vocab_size"]:
        """A model without padding needs neither a mask nor positions."""
        mask: Bool[Tensor, "batch 1 seq"] | None = self.mask[:, None] if self.padded else None
        if isinstance(self.model, Seq2Seq):
            assert self.context is not None
            return self.model.decode(ids, self.context, self.source_mask, mask, cache=self.cache)  # pyright: ignore[reportReturnType]
        positions = places if self.padded else None
        return self.model(ids, mask=mask, positions=positions, cache=self.cache)

    def _encode(
        self, ids: Tensor | None, mask: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        if not isinstance(self.model, Seq2Seq):
            if ids is not None or mask is not None:
                raise ValueError(
                    f"source_ids are given: expected none, for a {type(self.model).__name__} has "
                    "no encoder"
                )
            return None, None
        if ids is None or len(ids) != len(self.ids):
            found = "None" if ids is None else f"{len(ids)} rows"
            raise ValueError(
                f"source_ids has {found}: expected one row for each of {len(self.ids)} prompts, "
                "for a Seq2Seq to read"
            )
        if self.padded:
            raise ValueError("prompt_ids are of unequal length: a Seq2Seq expects equal ones")
        context = self.model.encode(ids, mask)
        return context, mask  # pyright: ignore[reportReturnType]
