"""What the families of checkpoints have in common: names of tensors, theirs and ours.

A published checkpoint is a table of tensors under the names of the modules that they came from.
Each family calls its modules something else, and says so in a `Family`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from underglass.pretrained.settings import Settings

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Family:
    """One family: how its checkpoints become models of ours, and back.

    Attributes:
        model_type: what config.json calls the family.
        architectures: our class for each of theirs; the first that names a class is the one that we
            write, and the first of all is what a config that names none describes.
        build: an empty model of a class from the config, and the tensors that there are.
        write_config: their config of a model, but for its type and class.
        to_ours, to_theirs: the tensors under the other's names, and laid out as the other has them.
        prefix: stands before the names of all but the heads, and may be missing.
        spare: a pattern of tensors that are left out: those that hold nothing learned, and heads.
        copies: tensors that, if they are there, must be the same as another: copy to original.
        old_names: patterns of names that were once in use, and what replaces them.
    """

    model_type: str
    architectures: Mapping[str, type[nn.Module]]
    build: Callable[[Settings, Tensors, type[nn.Module]], nn.Module]
    write_config: Callable[[Any], dict[str, Any]]
    to_ours: Callable[[Tensors], Tensors]
    to_theirs: Callable[[Tensors], Tensors]
    prefix: str
    spare: str
    copies: Callable[[Any], Mapping[str, str]] = lambda model: {}
    old_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def models(self) -> tuple[type[nn.Module], ...]:
        return tuple(dict.fromkeys(self.architectures.values()))

    def architecture(self, model: nn.Module) -> str | None:
        """What they call the class of our model; None if it is not of this family."""
        names = (name for name, kind in self.architectures.items() if isinstance(model, kind))
        return next(names, None)


def load_model(
    family: Family, settings: Settings, kind: type[nn.Module], tensors: Tensors, path: Path
) -> nn.Module:
    """The model of this class that the config describes, made of the tensors of the file `path`.

    There is never a second copy of the whole: the model is built without numbers, and takes over
    one tensor after the other.
    """
    tensors = _stripped(family, tensors, path)
    with torch.device("meta"):  # shapes only: the numbers come from the file
        model = family.build(settings, tensors, kind)
    expected = {
        name.removeprefix(family.prefix): (name, tensor)
        for name, tensor in family.to_theirs(model.state_dict()).items()
    }
    _merge_copies(tensors, family.copies(model), path)
    for name in [name for name in tensors if re.fullmatch(family.spare, name)]:
        if name not in expected:
            del tensors[name]
    _check_tensors(tensors, {name: tensor for name, (_, tensor) in expected.items()}, path)
    named = {expected[name][0]: tensors.pop(name) for name in list(tensors)}
    model.load_state_dict(family.to_ours(named), assign=True)
    return model


def _stripped(family: Family, tensors: Tensors, path: Path) -> Tensors:
    """The tensors under the names of today, and without the prefix that some files have."""
    stripped: Tensors = {}
    for original, tensor in tensors.items():
        name = original.removeprefix(family.prefix)
        for pattern, replacement in family.old_names.items():
            name = re.sub(pattern, replacement, name)
        if name in stripped:
            raise ValueError(f"{path} holds {name} twice, with and without {family.prefix!r}")
        stripped[name] = tensor
    return stripped


def _merge_copies(tensors: Tensors, copies: Mapping[str, str], path: Path) -> None:
    """Leave one of each pair, which must be equal; some files hold the one, some the other."""
    for copy, original in copies.items():
        if copy not in tensors:
            continue
        tensor = tensors.pop(copy)
        if not torch.equal(tensors.setdefault(original, tensor), tensor):
            raise ValueError(f"{path}: {copy} differs from {original}: expected the same numbers")


def _check_tensors(found: Tensors, expected: Tensors, path: Path) -> None:
    """Refuse a checkpoint whose tensors are not exactly those of the model."""
    problems = [
        *(f"{name} is missing" for name in expected if name not in found),
        *(f"{name} is not part of the model" for name in found if name not in expected),
        *_misfits(found, expected),
    ]
    if problems:
        shown = "; ".join(problems[:5])
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ValueError(
            f"{path} does not hold the tensors that its config describes: {shown}{more}"
        )


def _misfits(found: Tensors, expected: Tensors) -> Iterator[str]:
    for name in expected.keys() & found.keys():
        shape, wanted = tuple(found[name].shape), tuple(expected[name].shape)
        if shape != wanted:
            yield f"{name} has shape {shape}: expected {wanted}"
        elif not found[name].is_floating_point():
            yield f"{name} is {found[name].dtype}: expected floating-point numbers"


# ----------------------------------------------------------------------- names


def inverse(names: Mapping[str, str]) -> dict[str, str]:
    return {ours: theirs for theirs, ours in names.items()}


def rename(name: str, names: Mapping[str, str]) -> str:
    """Translate a tensor's name, or its module's; one that is not in the table stays as it is.

    In the table # stands for the number of a layer.
    """
    number = re.search(r"(?<=\.)\d+(?=\.)", name)
    general = name if number is None else name[: number.start()] + "#" + name[number.end() :]
    module, _, kind = general.rpartition(".")
    renamed = names.get(general) or (f"{names[module]}.{kind}" if module in names else general)
    return renamed if number is None else renamed.replace("#", number.group())


def renamed(tensors: Tensors, names: Mapping[str, str]) -> Tensors:
    return {rename(name, names): tensor for name, tensor in tensors.items()}
