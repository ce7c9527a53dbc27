"""What a GPT says of one short text, worked out ahead: the page shows it before any weights come.

Packed into one row of bytes, in this order; `places` are the tokens with the sign that begins a
text, and one row stands for what comes after each of them:

    candidates  uint16   [places kept]              the likeliest next tokens, falling
    logits      float32  [places kept]              theirs
    rest        float32  [places groups]            of all others, falling, in groups of like logits
    chances     float32  [places]                   what the model gave each token; 1 for the sign
    lens        uint16   [places stages best]       likeliest tokens of the logit lens
    lens_p      float32  [places stages best]       and their probabilities
    told        float32  [places stages 2]          the lens' probability and rank of the token that
                                                    stands next (at the end: of the likeliest)
    weights     uint16   [layer head q k]           attention, 65535 is 1
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from underglass.models import residual
from underglass.models.gpt import GPT
from underglass.tokenizers import BPE

START = "<|endoftext|>"  # what a text begins after, as in training
LONGEST = 24  # tokens: about 100 kB of a page
KEPT, GROUPS, BEST = 200, 64, 5


def read_text(tokenizer: BPE, text: str) -> list[int]:
    """The ids of a text, after the sign that begins one.

    Raises:
        TypeError: if the text is not a string.
        ValueError: if it has too many tokens to be carried.
    """
    if not isinstance(text, str):
        raise TypeError(f"text={text!r} is a {type(text).__name__}, expected a string")
    ids = tokenizer.encode(text)
    if len(ids) > LONGEST:
        raise ValueError(f"text has {len(ids)} tokens, expected at most {LONGEST}: {text!r}")
    return [tokenizer.special[START], *ids]


@torch.no_grad()
def work_out(model: GPT, tokenizer: BPE, ids: list[int]) -> tuple[dict[str, Any], bytes]:
    """What is known of the text, and its numbers packed as above."""
    row = torch.tensor([ids])
    stages = residual.trace(model, row).logits[:, 0]  # [stage place token]
    weights = torch.cat(model(row, return_weights=True)[1])  # [layer head q k]
    logits = stages[-1]
    order = logits.argsort(dim=-1, descending=True, stable=True)
    kept = min(KEPT, logits.shape[-1])
    groups = min(GROUPS, logits.shape[-1] - kept)
    following = torch.tensor([*ids[1:], int(order[-1, 0])])
    lens, lens_chances, told = _through_the_lens(stages, following)
    chances = logits.log_softmax(dim=-1).exp()
    numbers = [
        order[:, :kept].numpy().astype("<u2"),
        logits.gather(-1, order[:, :kept]).numpy().astype("<f4"),
        _groups(logits.gather(-1, order[:, kept:]), groups),
        np.array([1.0, *chances[range(len(ids) - 1), ids[1:]]], "<f4"),
        lens.numpy().astype("<u2"),
        lens_chances.numpy().astype("<f4"),
        told.numpy().astype("<f4"),
        (weights.double().clamp(0, 1) * 65535).round().numpy().astype("<u2"),
    ]
    named = sorted({*ids, *order[:, :kept].flatten().tolist(), *lens.flatten().tolist()})
    known = {
        "ids": ids,
        "named": named,
        "names": [name_of(tokenizer, i) for i in named],
        "vocab": logits.shape[-1],
        "kept": kept,
        "groups": groups,
        "stages": len(stages),
        "best": lens.shape[-1],
        "heads": weights.shape[1],
    }
    return known, b"".join(part.tobytes() for part in numbers)


def name_of(tokenizer: BPE, i: int) -> str:
    r"""A token as it is shown: \xe2 is a byte of a cut character."""
    return tokenizer.token(i).decode(errors="backslashreplace")


def _through_the_lens(stages: Tensor, following: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each place and stage: likeliest tokens, their chances; chance and rank of what follows."""
    chances = stages.softmax(dim=-1).transpose(0, 1)  # [place stage token]
    best = chances.topk(min(BEST, chances.shape[-1]), dim=-1)
    own = chances.gather(-1, following[:, None, None].expand(-1, chances.shape[1], 1))
    rank = (chances > own).sum(dim=-1) + 1
    return best.indices, best.values, torch.stack([own[..., 0], rank.float()], dim=-1)


def _groups(falling: Tensor, groups: int) -> np.ndarray:
    """One logit for each group, which gives the group its whole probability at temperature 1."""
    means = [
        part.logsumexp(dim=-1) - np.log(part.shape[-1])
        for part in falling.tensor_split(groups, dim=-1)
    ]
    return torch.stack(means, dim=-1).numpy().astype("<f4")
