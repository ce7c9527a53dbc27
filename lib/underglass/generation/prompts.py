"""Prompts of unequal length in one batch, and what may be asked of a model."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Integer
from torch import Tensor, nn

Prompt = Sequence[int] | Tensor
Prompts = Prompt | Sequence[Prompt]


class Padded(NamedTuple):
    """Rows that end at the same place, filled up in front: there the next token is the last.

    Attributes:
        mask: True where a token is.
        places: the position of each token, counted from the first of its row.
    """

    ids: Integer[Tensor, "batch seq"]
    mask: Bool[Tensor, "batch seq"]
    places: Integer[Tensor, "batch seq"]


def read_prompts(prompt_ids: Prompts) -> tuple[list[list[int]], bool]:
    """The prompts as lists, and whether it was one alone.

    Raises:
        ValueError: if there is no prompt, or one of them is empty.
        TypeError: if they are not whole numbers.
    """
    if isinstance(prompt_ids, str) or not isinstance(prompt_ids, Sequence | Tensor):
        raise TypeError(f"prompt_ids={prompt_ids!r}: expected token ids, or a batch of them")
    rows = prompt_ids.tolist() if isinstance(prompt_ids, Tensor) else list(prompt_ids)
    alone = not rows or not isinstance(rows[0], Sequence | Tensor)
    prompts: list[list[Any]] = [_row(row) for row in ([rows] if alone else rows)]
    for number, prompt in enumerate(prompts):
        name = "prompt_ids" if alone else f"prompt_ids[{number}]"
        if not prompt:
            raise ValueError(
                f"{name} is empty: expected at least one token, such as the one that begins a text"
            )
        if any(isinstance(i, bool) or not isinstance(i, int) for i in prompt):
            raise TypeError(f"{name} is {prompt[:5]}...: expected whole numbers")
    return prompts, alone


def _row(row: Any) -> list[Any]:
    if not isinstance(row, Sequence | Tensor) or isinstance(row, str):
        raise TypeError(f"prompt_ids holds {row!r}: expected token ids, or a batch of them")
    return row.tolist() if isinstance(row, Tensor) else list(row)


def pad_left(prompts: Sequence[Sequence[int]], device: torch.device) -> Padded:
    length = max(map(len, prompts))
    # Any id will do as padding, for nobody looks at it.
    ids = torch.tensor([[0] * (length - len(row)) + list(row) for row in prompts])
    mask = torch.tensor([[False] * (length - len(row)) + [True] * len(row) for row in prompts])
    places = (mask.cumsum(dim=1) - 1).clamp(min=0)
    return Padded(ids.to(device), mask.to(device), places.to(device))


def check_room(model: nn.Module, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> None:
    """Refuse prompts that the model cannot read, or cannot go on with for so long.

    Raises:
        ValueError: if a token is outside the vocabulary, or there is no room for all the tokens.
    """
    if isinstance(max_new_tokens, bool) or max_new_tokens < 1:
        raise ValueError(f"max_new_tokens={max_new_tokens}: expected at least 1")
    vocab_size, max_len = size_of(model, "vocab_size"), size_of(model, "max_len")
    for number, prompt in enumerate(prompts):
        wrong = [i for i in prompt if not 0 <= i < vocab_size]
        if wrong:
            raise ValueError(
                f"prompt_ids[{number}] holds {wrong[0]}: expected numbers from 0 to "
                f"{vocab_size - 1} (vocab_size={vocab_size})"
            )
    longest = max(map(len, prompts))
    # The last token is given out and never read in, so that it needs no position.
    if longest + max_new_tokens - 1 > max_len:
        raise ValueError(
            f"a prompt of {longest} tokens and max_new_tokens={max_new_tokens} do not fit into the "
            f"model's max_len={max_len}: expected a prompt of its last {max_len} tokens or fewer, "
            f"and at most {max(max_len - longest + 1, 0)} new ones"
        )


def size_of(model: nn.Module, name: str) -> int:
    size = getattr(getattr(model, "config", None), name, None)
    if not isinstance(size, int):
        raise TypeError(
            f"model is a {type(model).__name__}: expected a GPT, a Llama, a Seq2Seq, or a module "
            f"that is called like GPT and has config.{name}"
        )
    return size


def read_stop(stop: int | Collection[int], vocab_size: int) -> frozenset[int]:
    """The tokens that end a text.

    Raises:
        ValueError: if one is outside the vocabulary, so that it could never come.
    """
    tokens = frozenset([stop] if isinstance(stop, int) else stop)
    for token in tokens:
        if not 0 <= token < vocab_size:
            raise ValueError(
                f"stop holds {token}: expected numbers from 0 to {vocab_size - 1} "
                f"(vocab_size={vocab_size})"
            )
    return tokens
