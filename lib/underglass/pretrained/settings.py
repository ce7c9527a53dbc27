"""What a checkpoint's config.json says, read with nothing taken on trust.

Most of its fields say nothing about what is computed (ids of special tokens, names of labels, how
the weights were first drawn) and are passed over. Those that do are read, or must have one value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from underglass.pretrained.files import CONFIG, read_json

Config = TypeVar("Config")
ACTIVATIONS = {  # theirs: ours; where two are the same formula, the first is the one we write
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
}
# In every family: with any of these another way the model computes something that ours does not.
FIXED = {
    "is_decoder": False,
    "add_cross_attention": False,
    "pruned_heads": {},
    "quantization_config": None,
    "auto_map": None,  # a program of its own
}


def read_settings(folder: Path) -> "Settings":
    return Settings(read_json(folder / CONFIG), folder / CONFIG)


@dataclass(frozen=True)
class Settings:
    """The fields of a config.json, and its path, which errors name."""

    values: Mapping[str, Any]
    path: Path

    def get(self, name: str) -> Any:
        return self.values.get(name)

    def refuse(self, name: str, expected: str) -> NoReturn:
        raise ValueError(f"{self.path}: {name}={self.get(name)!r}: expected {expected}")

    def filled(self, defaults: Mapping[str, Any]) -> "Settings":
        """With what a field stands for that is missing, or null."""
        given = {name: value for name, value in self.values.items() if value is not None}
        return Settings({**defaults, **given}, self.path)

    def check(self, fixed: Mapping[str, Any]) -> None:
        """Refuse a field with another value than this one; it may be missing."""
        for name, expected in {**FIXED, **fixed}.items():
            if self.get(name) not in (None, expected):
                self.refuse(name, repr(expected))

    def read(self, kind: type[Config], names: Mapping[str, str], **others: Any) -> Config:
        """Our config, from the fields that `names` translates and our own `others`."""
        types = {field.name: type(field.default) for field in fields(kind)}  # pyright: ignore
        values = {ours: self.value(theirs, types[ours]) for theirs, ours in names.items()}
        try:
            return kind(**values, **others)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error

    def value(self, name: str, kind: type) -> Any:
        """A field that must be there, and be of this type."""
        value = self.get(name)
        fits = (int, float) if kind is float else kind
        if not isinstance(value, fits) or (isinstance(value, bool) and kind is not bool):
            self.refuse(name, kind.__name__)
        return kind(value)

    def activation(self, name: str) -> str:
        """Ours, for the field that names theirs."""
        theirs = self.value(name, str)
        if theirs not in ACTIVATIONS:
            self.refuse(name, f"one of {', '.join(ACTIVATIONS)}")
        return ACTIVATIONS[theirs]


def their_activation(ours: str) -> str:
    return next(theirs for theirs, name in ACTIVATIONS.items() if name == ours)
