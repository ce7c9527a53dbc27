"""Parts of a model by name: what freezing, rates and LoRA are told."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn


def matching(names: Sequence[str], pattern: str) -> list[str]:
    """The names that a pattern means: the one that it is, or else all that end with it.

    `*` stands for any letters and dots, `?` for one. "q_proj" means every ...attention.q_proj, and
    "blocks.0" means bert.blocks.0. But where a model has a parameter "bias" of its own, "bias" is
    that one, and "*bias" means all.
    """
    if pattern in names:
        return [pattern]
    return [n for n in names if fnmatchcase(n, pattern) or fnmatchcase(n, f"*.{pattern}")]


def find(names: Iterable[str], patterns: Sequence[str], argument: str, kind: str) -> list[str]:
    """The names that some pattern means, in their own order.

    Raises:
        TypeError: if `patterns` is one string.
        ValueError: if a pattern means none of the names.
    """
    if isinstance(patterns, str):
        raise TypeError(f"{argument}={patterns!r} is a string: expected a list of strings")
    names, found = list(names), set()
    for pattern in patterns:
        meant = matching(names, pattern)
        if not meant:
            raise ValueError(
                f"{argument}: {pattern!r} matches no {kind} of this model: expected one of "
                f"{_examples(names)}"
            )
        found |= set(meant)
    return [name for name in names if name in found]


def parameters_of(model: nn.Module, patterns: Sequence[str], argument: str) -> list[nn.Parameter]:
    """The parameters that a pattern names, or that lie in a module that one names.

    Raises:
        TypeError: if `patterns` is one string.
        ValueError: if a pattern matches neither a parameter nor a module that has any.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    ways: dict[str, list[str]] = {}  # to every name, of a parameter or a module: what lies there
    for name in parameters:
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            ways.setdefault(".".join(parts[:end]), []).append(name)
    found = find(ways, patterns, argument, "parameter or module")
    return [parameters[name] for way in found for name in ways[way]]


def _examples(names: list[str], most: int = 30) -> str:
    """The last parts of the names, each once: what a reader would write."""
    ends = list(dict.fromkeys(name.rpartition(".")[2] for name in names))
    ends = [end for end in ends if not end.isdigit()]
    return ", ".join(ends[:most]) + (", ..." if len(ends) > most else "")
