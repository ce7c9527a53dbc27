"""A rate of its own for each layer: small at the bottom, whose general knowledge should stay.

References: Howard and Ruder (2018), "Universal Language Model Fine-tuning for Text
Classification", section 3.2 (discriminative fine-tuning, where a layer's rate is that of the one
above divided by 2.6); Sun et al. (2019), "How to Fine-Tune BERT for Text Classification?", section
5.3.3 (0.95 for BERT); Clark et al. (2020), "ELECTRA", appendix B (0.8).
Chapter: chapters/09_fine_tuning.ipynb
"""

import math
from typing import Any

from torch import nn


def layerwise_groups(
    model: nn.Module, lr: float, *, decay: float = 0.95, weight_decay: float | None = None
) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer, where the rate at depth d is lr · decay^(D - d).

    Depth 0 is what comes before the first block (the tables of vectors), then each block is one
    deeper, and D is what comes after the last (final norm, pooler, head), which gets `lr` itself. A
    table that is also the output layer, as in GPT, stays at 0. Frozen parameters are left out.

        optimizer = AdamW(layerwise_groups(model, 2e-5, decay=0.95, weight_decay=0.01))

    Args:
        lr: the rate at the top, above 0.
        decay: what the rate shrinks by from layer to layer, above 0; 1 gives all the same.
        weight_decay: that of matrices. Biases and norms then get 0, in groups of their own: pulled
            to zero, a norm would shrink what it passes on. Unless given, the optimizer's holds.

    Returns:
        Groups with "params", "lr" (and "weight_decay"), the lowest rate first.

    Raises:
        ValueError: if the model has no blocks (an `nn.ModuleList`), nothing in it is trained, or a
            number is out of its range.
    """
    _check(lr, decay, weight_decay)
    depths = depth_of_parameters(model)
    top = max(depths.values(), default=0)
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decays = weight_decay is not None and parameter.ndim > 1
            groups.setdefault((depths[name], decays), []).append(parameter)
    if not groups:
        raise ValueError(
            "model has no parameter that is trained: expected some that are not frozen"
        )
    return [
        {"params": params, "lr": lr * decay ** (top - depth)}
        | ({} if weight_decay is None else {"weight_decay": weight_decay if decays else 0.0})
        for (depth, decays), params in sorted(groups.items(), key=lambda item: item[0])
    ]


def depth_of_parameters(model: nn.Module) -> dict[str, int]:
    """For each parameter, by its name, 0 before the first block, 1 in it, ..., D after the last.

    Modules count in the order in which the model registers them, which in this library is the order
    in which it computes; of an encoder-decoder, the decoder's blocks follow the encoder's. What
    hangs on a model itself, such as an output's bias, comes last.

    Raises:
        ValueError: if the model has no blocks.
    """
    blocks = _blocks(model)
    if not blocks:
        raise ValueError(
            f"model is a {type(model).__name__} without blocks: expected one with an nn.ModuleList"
        )
    order = {name: place for place, (name, _) in enumerate(model.named_modules())}
    return {name: _depth(name, blocks, order) for name, _ in model.named_parameters()}


def _blocks(model: nn.Module) -> list[str]:
    """The names of the blocks, from bottom to top; a list inside a block is part of that block."""
    found: list[str] = []
    for name, module in model.named_modules():
        inside = any(f"{name}.".startswith(f"{block}.") for block in found)
        if isinstance(module, nn.ModuleList) and not inside:
            found += [f"{name}.{index}".removeprefix(".") for index in range(len(module))]
    return found


def _depth(name: str, blocks: list[str], order: dict[str, int]) -> int:
    owner, top = name.rpartition(".")[0], len(blocks) + 1
    for depth, block in enumerate(blocks, start=1):
        if name.startswith(f"{block}."):
            return depth
    if not owner or any(block.startswith(f"{owner}.") for block in blocks):
        return top
    passed = sum(order[block] < order[owner] for block in blocks)
    return top if passed == len(blocks) else passed


def _check(lr: float, decay: float, weight_decay: float | None) -> None:
    for name, number in (("lr", lr), ("decay", decay)):
        if not 0 < number < math.inf:
            raise ValueError(f"{name}={number}: expected a finite number above 0")
    if weight_decay is not None and not 0 <= weight_decay < math.inf:
        raise ValueError(f"weight_decay={weight_decay}: expected a finite number of at least 0")
