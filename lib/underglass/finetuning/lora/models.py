"""LoRA in a whole model: put in, merged, taken out again."""

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from underglass.finetuning.freezing import freeze
from underglass.finetuning.lora.layer import LoRALinear, check_options
from underglass.finetuning.names import find, parameters_of


def inject(
    model: nn.Module,
    targets: Sequence[str],
    *,
    rank: int,
    alpha: float,
    dropout: float = 0.0,
    trainable: Sequence[str] = (),
    generator: torch.Generator | None = None,
) -> list[str]:
    """Put a `LoRALinear` in the place of each target, and freeze everything else.

    The model computes the same as before until it is trained. Make the optimizer after this.

    Args:
        targets: linear layers, by name or pattern as in `freeze`: ["q_proj", "v_proj"] in every
            block (the paper's choice), ["blocks.3.*"] in one, ["*"] everywhere.
        rank, alpha, dropout: those of `LoRALinear`.
        trainable: parts that are trained as they are, such as a new head: ["classifier"]. They are
            saved with the adapter.
        generator: draws the new matrices, one layer after the other.

    Returns:
        The names of the layers that were replaced.

    Raises:
        ValueError: if a name matches nothing, an option is out of its range, a layer is both a
            target and trainable, or the model has LoRA already. Nothing has changed then.
        TypeError: if `targets` or `trainable` is a string.
    """
    check_options(rank, alpha, dropout)
    check_has_none(model)
    linears = _linears(model)
    names = find(linears, targets, "targets", "linear layer")
    if not names:
        raise ValueError("targets is empty: expected the name of at least one linear layer")
    trained = parameters_of(model, trainable, "trainable")
    _check_apart({name: linears[name] for name in names}, trained)
    replace_with_lora(
        model,
        names,
        rank=rank,
        alpha=alpha,
        dropout=dropout,
        trained=trained,
        generator=generator,
    )
    return names


def replace_with_lora(
    model: nn.Module,
    names: Sequence[str],
    *,
    rank: int,
    alpha: float,
    dropout: float,
    trained: Sequence[nn.Parameter],
    generator: torch.Generator | None = None,
) -> None:
    """Put LoRA into exactly these linear layers, and freeze all else but what is `trained`.

    Raises:
        ValueError: if the model has LoRA already.
    """
    check_has_none(model)
    linears = _linears(model)
    freeze(model)
    for parameter in trained:
        parameter.requires_grad_(True)
    wrapped: dict[nn.Linear, LoRALinear] = {}  # a layer that is in two places stays one
    for name in names:
        linear = linears[name]
        if linear not in wrapped:
            wrapped[linear] = LoRALinear(
                linear, rank, alpha=alpha, dropout=dropout, generator=generator
            ).train(linear.training)
        _replace(model, name, wrapped[linear])


def merge(model: nn.Module) -> None:
    """W <- W + (alpha / r) B A in every layer: the same answers, at the speed of before.

    In bfloat16 a small update may be rounded away: it has 8 bits.

    Raises:
        ValueError: if the model has no LoRA layers.
    """
    for layer in _some_lora_layers(model):
        layer.merge()


def unmerge(model: nn.Module) -> None:
    """W <- W - (alpha / r) B A where it was merged, so that A and B can be trained on.

    W is what it was but for rounding: see `LoRALinear.unmerge`.

    Raises:
        ValueError: if the model has no LoRA layers.
    """
    for layer in _some_lora_layers(model):
        layer.unmerge()


def remove(model: nn.Module) -> None:
    """Put the linear layers back in their places, with what LoRA had added if that is merged.

    `merge(model); remove(model)` leaves a plain model with the new weights, which
    `pretrained.save` can write; `unmerge(model); remove(model)` leaves the old one. All of it stays
    frozen but what was trained as it is.

    Raises:
        ValueError: if the model has no LoRA layers.
    """
    _some_lora_layers(model)
    for name, layer in list(lora_layers(model)):
        _replace(model, name, layer.linear)


def lora_layers(model: nn.Module) -> Iterator[tuple[str, LoRALinear]]:
    """Name and layer, in the order of the model; a layer that is in two places comes twice."""
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, LoRALinear):
            yield name, module


def _some_lora_layers(model: nn.Module) -> list[LoRALinear]:
    layers = [layer for _, layer in lora_layers(model)]
    if not layers:
        raise ValueError(
            f"model is a {type(model).__name__} without LoRA layers: expected lora.inject before"
        )
    return layers


def check_has_none(model: nn.Module) -> None:
    if any(True for _ in lora_layers(model)):
        raise ValueError("model has LoRA layers already: expected one without; see lora.remove")


def _linears(model: nn.Module) -> dict[str, nn.Linear]:
    return {
        name: module
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, nn.Linear)
    }


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, module)


def _check_apart(targets: dict[str, nn.Linear], trained: list[nn.Parameter]) -> None:
    """LoRA freezes its layer: that cannot be trained as it is too."""
    ids = {id(parameter) for parameter in trained}
    for name, linear in targets.items():
        if any(id(parameter) in ids for parameter in linear.parameters()):
            raise ValueError(
                f"{name} is named by targets and by trainable: expected one of the two"
            )
