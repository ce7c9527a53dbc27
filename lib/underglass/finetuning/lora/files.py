"""An adapter on its own: what LoRA has learned, without the model that it belongs to.

The files are those of the library peft: adapter_config.json and adapter_model.safetensors, written
under temporary names and renamed. Either side reads what the other wrote, given a model whose
layers have the same names.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from underglass.finetuning.lora.layer import LoRALinear, check_options
from underglass.finetuning.lora.models import check_has_none, lora_layers, replace_with_lora
from underglass.pretrained.files import read_json, replacing_files, write_json
from underglass.pretrained.weights import read_file

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."  # peft's wrapper around the model
LORA_A, LORA_B = ".lora_A.weight", ".lora_B.weight"
# Settings that change nothing in what an adapter computes, or that say who wrote it.
HARMLESS = {
    "auto_mapping",
    "base_model_name_or_path",
    "ensure_weight_tying",
    "inference_mode",
    "init_lora_weights",
    "loftq_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "task_type",
}
OURS = {"peft_type", "r", "lora_alpha", "lora_dropout", "target_modules", "modules_to_save"}


def save(model: nn.Module, path: str | Path) -> None:
    """Write A and B of every LoRA layer, and what else is trained, into a folder.

    What was in the folder under these names stays whole if the writing fails.

    Raises:
        ValueError: if the model has no LoRA layers, or their rank, alpha or dropout differ.
        NotADirectoryError: if `path` is a file.
    """
    layers = dict(lora_layers(model))
    options = {(layer.rank, layer.alpha, layer.dropout.p) for layer in layers.values()}
    if len(options) != 1:
        raise ValueError(
            f"model has LoRA layers with (rank, alpha, dropout) = {sorted(options)}: "
            "expected one choice for all"
        )
    rank, alpha, dropout = options.pop()
    heads = _trained_as_they_are(model)
    config = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": dropout,
        "target_modules": list(layers),
        "modules_to_save": sorted({name.rpartition(".")[0] for name in heads}) or None,
        "bias": "none",
        "base_model_name_or_path": None,
        "task_type": None,
        "inference_mode": True,
    }
    tensors: dict[str, Tensor] = _adapter_tensors(layers)
    tensors |= {f"{PREFIX}{name}": p for name, p in heads.items()}
    with replacing_files(Path(path).expanduser()) as folder:
        own = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
        save_file(own, folder / WEIGHTS, metadata={"format": "pt"})
        write_json(folder / CONFIG, config)


def load(model: nn.Module, path: str | Path) -> list[str]:
    """Inject the adapter of a folder into the model that it was trained with.

    Training can go on from there: A, B and what was saved with them are trained, the rest is
    frozen.

    Returns:
        The names of the layers that were replaced.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if the files are not whole, use what is not taught here (DoRA, ranks that
            differ), or do not fit this model, or it has LoRA already. It is as before then.
    """
    check_has_none(model)
    folder = Path(path).expanduser()
    settings = _checked(read_json(folder / CONFIG), folder / CONFIG)
    tensors = _read(folder / WEIGHTS)
    names = [name.removesuffix(LORA_A) for name in tensors if name.endswith(LORA_A)]
    names = [name for name, _ in model.named_modules(remove_duplicate=False) if name in {*names}]
    heads = {name: tensor for name, tensor in tensors.items() if ".lora_" not in name}
    _check_fit(model, names, settings["rank"], tensors, heads, folder / WEIGHTS)

    replace_with_lora(
        model, names, trained=[model.get_parameter(name) for name in heads], **settings
    )
    with torch.no_grad():
        for name in names:
            layer = model.get_submodule(name)
            assert isinstance(layer, LoRALinear)
            layer.lora_a.copy_(tensors[name + LORA_A])
            layer.lora_b.copy_(tensors[name + LORA_B])
        for name, tensor in heads.items():
            model.get_parameter(name).copy_(tensor)
    return names


def _trained_as_they_are(model: nn.Module) -> dict[str, nn.Parameter]:
    """What is trained besides LoRA, by name."""
    adapters = {id(p) for _, layer in lora_layers(model) for p in (layer.lora_a, layer.lora_b)}
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and id(parameter) not in adapters
    }


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}: expected the folder of an adapter")
    return {name.removeprefix(PREFIX): tensor for name, tensor in read_file(path).items()}


def _checked(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """The options of `inject`; refuses what would compute something else."""
    expected = {"peft_type": "LORA", "bias": "none"}
    for name, value in config.items():
        if name in HARMLESS or name in OURS:
            continue
        if value and value != expected.get(name):
            raise ValueError(f"{path}: {name}={value!r} is not taught here: expected none")
    if config.get("peft_type") != "LORA":
        raise ValueError(f"{path}: peft_type={config.get('peft_type')!r}: expected 'LORA'")
    options: dict[str, Any] = {}
    for ours, theirs, kind, otherwise in (
        ("rank", "r", int, None),
        ("alpha", "lora_alpha", float, None),
        ("dropout", "lora_dropout", float, 0.0),
    ):
        value = config.get(theirs, otherwise)
        if isinstance(value, bool) or not isinstance(value, int | kind):
            raise ValueError(f"{path}: {theirs}={value!r}: expected a number")
        options[ours] = kind(value)
    check_options(**options)
    return options


def _check_fit(
    model: nn.Module,
    names: list[str],
    rank: int,
    tensors: dict[str, Tensor],
    heads: dict[str, Tensor],
    path: Path,
) -> None:
    """Refuse tensors that the model has no place for, in name or in shape, and gaps."""
    expected: dict[str, tuple[int, ...]] = {}
    for name in names:
        linear = model.get_submodule(name)
        if isinstance(linear, nn.Linear):
            expected[name + LORA_A] = (rank, linear.in_features)
            expected[name + LORA_B] = (linear.out_features, rank)
    parameters = dict(model.named_parameters())
    expected |= {name: tuple(parameters[name].shape) for name in heads if name in parameters}
    for name in sorted(tensors.keys() | expected.keys()):
        if name not in expected:
            raise ValueError(
                f"{path} holds {name}, for which this {type(model).__name__} has no place"
            )
        if name not in tensors:
            raise ValueError(f"{path} does not hold {name}: expected A and B of each layer")
        if tuple(tensors[name].shape) != expected[name]:
            raise ValueError(
                f"{path}: {name} has shape {tuple(tensors[name].shape)}: expected {expected[name]}"
            )
    if not names:
        raise ValueError(f"{path} holds no LoRA layer: expected tensors named ...{LORA_A}")


def _adapter_tensors(layers: dict[str, LoRALinear]) -> dict[str, Tensor]:
    return {
        f"{PREFIX}{name}{end}": matrix
        for name, layer in layers.items()
        for end, matrix in ((LORA_A, layer.lora_a), (LORA_B, layer.lora_b))
    }
