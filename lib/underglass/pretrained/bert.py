"""The published BERT family's names for tensors and sizes, and ours.

Reference: Devlin et al. (2019), "BERT", whose weights transformers has given their common names.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from torch import Tensor

from underglass.models.bert import BERTConfig
from underglass.pretrained.files import read_json
from underglass.tokenizers import WordPiece

MODULES = {  # theirs: ours, with # for the number of the layer
    "embeddings.word_embeddings": "tokens",
    "embeddings.position_embeddings": "positions",
    "embeddings.token_type_embeddings": "segments",
    "embeddings.LayerNorm": "norm",
    "encoder.layer.#.attention.self.query": "blocks.#.attention.q_proj",
    "encoder.layer.#.attention.self.key": "blocks.#.attention.k_proj",
    "encoder.layer.#.attention.self.value": "blocks.#.attention.v_proj",
    "encoder.layer.#.attention.output.dense": "blocks.#.attention.out_proj",
    "encoder.layer.#.attention.output.LayerNorm": "blocks.#.attention_norm",
    "encoder.layer.#.intermediate.dense": "blocks.#.feed_forward.in_proj",
    "encoder.layer.#.output.dense": "blocks.#.feed_forward.out_proj",
    "encoder.layer.#.output.LayerNorm": "blocks.#.feed_forward_norm",
    "pooler.dense": "pooler",
}
SIZES = {
    "vocab_size": "vocab_size",
    "max_position_embeddings": "max_len",
    "type_vocab_size": "num_segments",
    "hidden_size": "d_model",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "intermediate_size": "d_ff",
}
OPTIONS = {"hidden_dropout_prob": "dropout", "hidden_act": "activation", "layer_norm_eps": "eps"}
ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "gelu_new": "gelu_tanh", "silu": "silu"}
# What we build is BERT as published: with any of these another way, its numbers would be wrong.
FIXED = {
    "model_type": "bert",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}


def _invert(names: Mapping[str, str]) -> dict[str, str]:
    return {ours: theirs for theirs, ours in names.items()}


def _rename(name: str, modules: Mapping[str, str]) -> str:
    """Translate the module in `name`; a name that is not in the table stays as it is."""
    module, _, kind = name.rpartition(".")
    number = re.search(r"(?<=\.)\d+(?=\.)", module)
    layer = number.group() if number else "#"
    renamed = modules.get(re.sub(r"(?<=\.)\d+(?=\.)", "#", module, count=1))
    return name if renamed is None else f"{renamed.replace('#', layer)}.{kind}"


def their_name(name: str) -> str:
    return _rename(name, _invert(MODULES))


def to_ours(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors under our names, without those that are not weights of BERT itself."""
    ours = {}
    for theirs, tensor in tensors.items():
        name = theirs.removeprefix("bert.")
        if name == "embeddings.position_ids" or name.startswith("cls."):
            continue  # 0, 1, 2, ...; and the heads that BERT was trained with
        name = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name)  # as Google published it
        name = re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name)
        name = _rename(name, MODULES)
        if name in ours:
            raise ValueError(f"{path} holds {their_name(name)} twice, with and without 'bert.'")
        ours[name] = tensor
    return ours


def check_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    """Refuse a checkpoint whose tensors are not exactly those of the model, naming theirs."""
    problems = [
        *(f"{their_name(name)} is missing" for name in expected if name not in found),
        *(f"{their_name(name)} is not part of the model" for name in found if name not in expected),
        *_misfits(found, expected),
    ]
    if problems:
        shown = "; ".join(problems[:5])
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ValueError(
            f"{path} does not hold the tensors that its config describes: {shown}{more}"
        )


def _misfits(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Iterable[str]:
    for name in expected.keys() & found.keys():
        ours, tensor = expected[name], found[name]
        if tensor.shape != ours.shape:
            shape, wanted = tuple(tensor.shape), tuple(ours.shape)
            yield f"{their_name(name)} has shape {shape}: expected {wanted}"
        elif not tensor.is_floating_point():
            yield f"{their_name(name)} is {tensor.dtype}: expected floating-point numbers"


def check_family(config: Mapping[str, Any], path: Path) -> None:
    """Refuse the config of a model that is not BERT as published."""
    for name, expected in FIXED.items():
        value = config.get(name, None if name == "model_type" else expected)
        if value != expected:
            raise ValueError(f"{path}: {name}={value!r}: expected {expected!r}")


def read_config(config: Mapping[str, Any], path: Path, *, pooler: bool) -> BERTConfig:
    """Our config from theirs. Their separate dropout of the attention weights is not kept."""
    types = {field.name: type(field.default) for field in fields(BERTConfig)}
    values = {}
    for theirs, ours in (SIZES | OPTIONS).items():
        if theirs in OPTIONS and theirs not in config:
            continue
        value = config.get(theirs)
        fits = (int, float) if types[ours] is float else types[ours]
        if not isinstance(value, fits) or isinstance(value, bool):
            raise ValueError(f"{path}: {theirs}={value!r}: expected {types[ours].__name__}")
        values[ours] = types[ours](value)
    if "activation" in values:
        values["activation"] = _our_activation(values["activation"], path)
    try:
        return BERTConfig(**values, pooler=pooler)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _our_activation(theirs: str, path: Path) -> str:
    if theirs not in ACTIVATIONS:
        expected = ", ".join(ACTIVATIONS)
        raise ValueError(f"{path}: hidden_act={theirs!r}: expected one of {expected}")
    return ACTIVATIONS[theirs]


def write_config(config: BERTConfig) -> dict[str, Any]:
    """Their config from ours."""
    values = {theirs: getattr(config, ours) for theirs, ours in (SIZES | OPTIONS).items()}
    return {
        **values,
        "hidden_act": _invert(ACTIVATIONS)[config.activation],
        "attention_probs_dropout_prob": config.dropout,
        "model_type": "bert",
        "architectures": ["BertModel"],
    }


def read_tokenizer(folder: Path) -> WordPiece:
    """From vocab.txt, or else from tokenizer.json."""
    settings = _tokenizer_settings(folder)
    lower = settings.get("do_lower_case", True)
    for name, expected in (("strip_accents", lower), ("tokenize_chinese_chars", True)):
        if settings.get(name) not in (None, expected):
            raise ValueError(f"{folder}: {name}={settings[name]!r}: expected {expected!r}")
    if (folder / "vocab.txt").is_file():
        return WordPiece.from_file(folder / "vocab.txt", lower=lower)
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no vocab.txt and no tokenizer.json")
    model = read_json(path).get("model", {})
    if model.get("type") != "WordPiece":
        raise ValueError(f"{path}: model type {model.get('type')!r}: expected 'WordPiece'")
    return WordPiece(sorted(model["vocab"], key=model["vocab"].__getitem__), lower=lower)


def _tokenizer_settings(folder: Path) -> dict[str, Any]:
    """What tokenizer_config.json says, and tokenizer.json where that says nothing."""
    settings = {}
    if (folder / "tokenizer.json").is_file():
        normalizer = read_json(folder / "tokenizer.json").get("normalizer") or {}
        names = {
            "lowercase": "do_lower_case",
            "strip_accents": "strip_accents",
            "handle_chinese_chars": "tokenize_chinese_chars",
        }
        settings = {names[name]: normalizer[name] for name in names if name in normalizer}
    if (folder / "tokenizer_config.json").is_file():
        settings |= read_json(folder / "tokenizer_config.json")
    return settings
