"""What the models share: tables of vectors, initial weights, and the refusal of bad input."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from underglass.attention import causal_mask
from underglass.cache import KeyValueCache
from underglass.positions import LearnedPositions

INITIAL_STD = 0.02  # BERT's and GPT-2's authors' choice


def table(vocab_size: int, d_model: int) -> nn.Embedding:
    """A vector for each number, drawn by `initialize` alone.

    nn.Embedding(vocab_size, d_model) would draw them too, and on the meta device wait seconds for
    torch's compiler to be imported.
    """
    return nn.Embedding.from_pretrained(torch.empty(vocab_size, d_model), freeze=False)


def initialize(model: nn.Module, generator: torch.Generator | None) -> None:
    """Draw every matrix from a normal distribution, and set the biases of linear layers to zero."""
    model.apply(partial(_draw, generator=generator))


def _draw(module: nn.Module, generator: torch.Generator | None) -> None:
    drawn = isinstance(module, nn.Linear | nn.Embedding | LearnedPositions)
    if drawn and not module.weight.is_meta:
        nn.init.normal_(module.weight, std=INITIAL_STD, generator=generator)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def also_causal(
    mask: Bool[Tensor, "..."] | None, ids: Tensor, cache: Sequence[KeyValueCache] | None
) -> Bool[Tensor, "..."] | None:
    """The mask of a decoder: nobody looks ahead. With a cache, attention itself sees to that.

    Raises:
        TypeError: if the mask is not boolean.
        ValueError: if its last two axes are not the ids'; attention checks the others.
    """
    if cache is not None:
        return mask
    size = ids.shape[1]
    causal = causal_mask(size, ids.device)
    if mask is None:
        return causal
    if mask.dtype != torch.bool:
        raise TypeError(f"mask is {mask.dtype}: expected torch.bool, True where one may look")
    if mask.ndim < 2 or not {*mask.shape[-2:]} <= {1, size}:
        raise ValueError(
            f"mask has shape {tuple(mask.shape)}: expected one that broadcasts to "
            f"[batch q k] = {(len(ids), size, size)}"
        )
    return mask & causal


def run_blocks(
    blocks: Iterable[nn.Module],
    x: Tensor,
    mask: Tensor | None,
    *,
    cache: Sequence[KeyValueCache] | None = None,
    return_weights: bool = False,
    **places: Tensor | None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Each block after the other; the weights of every layer, or none unless asked for."""
    weights = []
    for layer, block in enumerate(blocks):
        own = None if cache is None else cache[layer]
        x = block(x, mask, cache=own, return_weights=return_weights, **places)
        if return_weights:
            x, layer_weights = x
            weights.append(layer_weights)
    return x, tuple(weights)


def past_of(cache: Sequence[KeyValueCache] | None, num_layers: int) -> int:
    """How many positions a model's cache holds.

    Raises:
        ValueError: if there is not one cache a layer, or they hold different numbers.
    """
    if cache is None:
        return 0
    if len(cache) != num_layers:
        raise ValueError(
            f"cache has {len(cache)} layers: expected num_layers={num_layers}, as new_cache() makes"
        )
    lengths = sorted({layer.length for layer in cache})
    if len(lengths) > 1:
        raise ValueError(f"cache has layers of {lengths} positions: expected one length")
    return lengths[0]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """No dropout for a while. Each module then has its own mode again: a frozen part may differ."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def check_counts(config: Any, *names: str) -> None:
    """Raises ValueError if one of these fields is below 1."""
    for name in names:
        if getattr(config, name) < 1:
            raise ValueError(f"{name}={getattr(config, name)}: expected at least 1")


def check_heads(d_model: int, num_heads: int) -> None:
    if num_heads < 1 or d_model % num_heads:
        raise ValueError(f"d_model={d_model} is not divisible by num_heads={num_heads}")


def check_dropout(dropout: float) -> None:
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout}: expected a share from 0 up to, but not including, 1")


def check_eps(eps: float) -> None:
    if not eps > 0:
        raise ValueError(f"eps={eps}: expected a number above 0")


def check_ids(name: str, ids: Tensor, vocab_size: int, max_len: int | None, past: int = 0) -> None:
    """Refuse what is not [batch seq] of numbers below `vocab_size`, or is longer than `max_len`.

    Args:
        past: how many positions came before, as with a cache.
    """
    if not isinstance(ids, Tensor):
        raise TypeError(f"{name} is a {type(ids).__name__}: expected a tensor of token ids")
    if ids.ndim != 2 or ids.shape[1] < 1:
        raise ValueError(f"{name} has shape {tuple(ids.shape)}: expected [batch seq]")
    if max_len is not None and past + ids.shape[1] > max_len:
        behind = f" behind {past} cached ones" if past else ""
        raise ValueError(
            f"{name} has {ids.shape[1]} tokens{behind}: expected at most max_len={max_len}"
        )
    check_range(name, ids, "vocab_size", vocab_size)


def check_range(name: str, numbers: Tensor, size_name: str, size: int) -> None:
    """Refuse what is not whole numbers from 0 to `size` - 1; on a GPU, only their dtype."""
    if numbers.is_floating_point() or numbers.is_complex() or numbers.dtype == torch.bool:
        raise TypeError(f"{name} is {numbers.dtype}: expected integers")
    if numbers.device.type != "cpu":  # a GPU would have to stop and wait for the answer
        return
    wrong = numbers[(numbers < 0) | (numbers >= size)]
    if len(wrong):
        raise ValueError(
            f"{name} holds {int(wrong[0])}: expected numbers from 0 to {size - 1} "
            f"({size_name}={size})"
        )
