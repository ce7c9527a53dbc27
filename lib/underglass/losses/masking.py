"""What BERT learns from: texts with some tokens hidden.

Reference: Devlin et al. (2019), "BERT", section 3.1 and appendix A.1.
"""

from collections.abc import Collection

import torch
from jaxtyping import Integer
from torch import Tensor

from underglass.losses.language import IGNORE

HIDDEN, REPLACED = 0.8, 0.1  # shares of the chosen tokens; the last tenth stays as it is


def mask_tokens(
    ids: Integer[Tensor, "batch seq"],
    *,
    mask_id: int,
    vocab_size: int,
    special_ids: Collection[int],
    probability: float = 0.15,
    generator: torch.Generator | None = None,
) -> tuple[Integer[Tensor, "batch seq"], Integer[Tensor, "batch seq"]]:
    """Choose tokens to predict: 80 % become [MASK], 10 % another token, 10 % stay as they are.

    Fine-tuned models never see [MASK]: the last two kinds make a model look at every token as if it
    could be wrong. Each token is chosen by itself, so a short text may get none: its loss is 0.

    Args:
        special_ids: padding, [CLS], [SEP] and the like: never chosen, never put in another's place
            (BERT's own code may draw them there). `mask_id` counts among them, named or not.
        probability: of an ordinary token, to be chosen.
        generator: draws on the CPU, so that every device sees the same choice.

    Returns:
        The corrupted ids, and the targets: the true ids where a token was chosen, else -100.

    Raises:
        ValueError: if an argument is out of its range, or no ordinary token is left.
    """
    ordinary = _ordinary(ids, mask_id, vocab_size, special_ids)
    if not 0 <= probability <= 1:
        raise ValueError(f"probability={probability}: expected a number from 0 to 1")
    if generator is not None and generator.device.type != "cpu":
        raise ValueError(f"generator is on {generator.device}: expected one on the CPU")
    choice, fate = torch.rand(2, *ids.shape, generator=generator).to(ids.device)
    others = torch.randint(len(ordinary), ids.shape, generator=generator)
    others = ordinary[others].to(ids.device, ids.dtype)

    special = torch.isin(ids, torch.tensor([mask_id, *special_ids], device=ids.device))
    chosen = (choice < probability) & ~special
    hidden = chosen & (fate < HIDDEN)
    replaced = chosen & (fate >= HIDDEN) & (fate < HIDDEN + REPLACED)
    corrupted = ids.masked_fill(hidden, mask_id).where(~replaced, others)
    return corrupted, ids.masked_fill(~chosen, IGNORE)


def _ordinary(
    ids: Tensor, mask_id: int, vocab_size: int, special_ids: Collection[int]
) -> Integer[Tensor, " _"]:
    """All ids that are not special."""
    if ids.ndim != 2 or ids.is_floating_point() or ids.dtype == torch.bool:
        raise ValueError(
            f"ids is {ids.dtype} {tuple(ids.shape)}: expected whole numbers [batch seq]"
        )
    for name, special in (("mask_id", mask_id), *(("special_ids", i) for i in special_ids)):
        if not 0 <= special < vocab_size:
            raise ValueError(
                f"{name}: {special} is out of range: expected ids from 0 to {vocab_size - 1}"
            )
    ordinary = torch.ones(vocab_size, dtype=torch.bool)
    ordinary[[mask_id, *special_ids]] = False
    if not ordinary.any():
        raise ValueError(f"special_ids names all {vocab_size} ids: expected some ordinary ones")
    return ordinary.nonzero().flatten()
