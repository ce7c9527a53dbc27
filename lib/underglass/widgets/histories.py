"""Histories of training as the curves' data: read, checked, and packed for the browser."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

TRAIN = ("step", "loss", "rate", "gradient_norm")  # one value for each step
VALIDATION = ("validation_step", "validation_loss")
OPTIONAL = ("rate", "gradient_norm")  # may be missing, whole or in places
LARGEST_STEP = 2**32 - 1
EXPECTED = "expected a History, a dict with 'step' and 'loss', a list of them, or a dict of names"


class Seed:
    """The rows of one run with one seed. It only grows; a changed history makes a new one."""

    def __init__(self) -> None:
        self.columns: dict[str, list] = {name: [] for name in (*TRAIN, *VALIDATION)}

    def size(self) -> tuple[int, int]:
        return len(self.columns["step"]), len(self.columns["validation_step"])

    def read(self, history: Any, label: str) -> tuple["Seed", dict[str, list]]:
        """What `history` holds beyond these rows, and the seed that it belongs to.

        That is this one, if the history still begins with these rows, and else a new one.
        """
        columns = {name: _column(history, label, name) for name in self.columns}
        _check_lengths(columns, label)
        seed = self if self._continued_by(columns) else Seed()
        train, validation = seed.size()
        new = {
            name: column[train if name in TRAIN else validation :]
            for name, column in columns.items()
        }
        return seed, seed.checked(new, f"{label}.")

    def append(self, new: dict[str, list]) -> None:
        for name, column in self.checked(new, "").items():
            self.columns[name] += column

    def checked(self, new: Mapping[str, Sequence], label: str) -> dict[str, list]:
        """The columns as plain numbers, after those that are here."""
        checked: dict[str, list] = {}
        for name, column in new.items():
            if name.endswith("step"):
                last = self.columns[name][-1:]
                checked[name] = _steps(column, f"{label}{name}", last)
            else:
                checked[name] = _numbers(column, f"{label}{name}")
        return checked

    def packed(self, number: int, since: tuple[int, int]) -> bytes:
        """The rows from `since` on: six words that say what follows, then column after column.

        The words: number of the seed, training rows, validation rows, which columns follow (1
        steps, 2 rate, 4 gradient norm), and first step and stride where no steps follow.
        """
        rows = {n: c[since[0] if n in TRAIN else since[1] :] for n, c in self.columns.items()}
        steps = np.array(rows["step"], np.int64)
        if not len(steps) + len(rows["validation_step"]):
            return b""
        first, stride, regular = _stride(steps)
        given = [n for n in OPTIONAL if not np.isnan(rows[n]).all()]
        flags = (not regular) + sum(2 << i for i, n in enumerate(OPTIONAL) if n in given)
        head = [number, len(steps), len(rows["validation_step"]), flags, first, stride]
        parts = [np.array(head, "<u4"), steps.astype("<u4") if not regular else b""]
        with np.errstate(over="ignore"):  # beyond float32 is infinite
            for name in ("loss", *given):
                parts.append(np.array(rows[name], np.float64).astype("<f4"))
            parts.append(np.array(rows["validation_step"], "<u4"))
            parts.append(np.array(rows["validation_loss"], np.float64).astype("<f4"))
        return b"".join(bytes(part) for part in parts)

    def _continued_by(self, columns: Mapping[str, Sequence]) -> bool:
        """Whether the last rows are still where they were."""
        for step, value in (TRAIN[:2], VALIDATION):
            n = len(self.columns[step])
            if len(columns[step]) < n:
                return False
            mine = [self.columns[name][-1:] for name in (step, value)]
            theirs = [_numbers(columns[name][n - 1 : n], name) for name in (step, value)]
            if not np.array_equal(mine, theirs, equal_nan=True):
                return False
        return True


def named(history: Any, label: str) -> dict[str, list[tuple[Any, str]]]:
    """All histories under the names of their runs, each with its own place in the argument."""
    if _is_history(history):
        return {_name(history) or "run": [(history, label)]}
    if isinstance(history, Mapping):
        return {_checked_name(n): _seeds(h, f"{label}[{n!r}]") for n, h in history.items()}
    if not isinstance(history, list | tuple):
        raise TypeError(f"{label} is a {type(history).__name__}; {EXPECTED}")
    runs: dict[str, list] = {}
    for i, one in enumerate(history):
        if not _is_history(one):
            raise TypeError(f"{label}[{i}] is a {type(one).__name__}; expected a History or a dict")
        name = _name(one) or f"run {i + 1}"
        while name in runs:
            name = f"{name} ({i + 1})"
        runs[name] = [(one, f"{label}[{i}]")]
    return runs


def _seeds(value: Any, label: str) -> list[tuple[Any, str]]:
    if _is_history(value):
        return [(value, label)]
    if not isinstance(value, list | tuple):
        raise TypeError(
            f"{label} is a {type(value).__name__}; expected a History, or a list (seeds)"
        )
    if not value:
        raise ValueError(f"{label} is an empty list; expected one history for each seed")
    for i, one in enumerate(value):
        if not _is_history(one):
            raise TypeError(f"{label}[{i}] is a {type(one).__name__}; expected a History or a dict")
    return [(one, f"{label}[{i}]") for i, one in enumerate(value)]


def _is_history(value: Any) -> bool:
    """Something with the columns of a History; a run may be called "step" too."""
    if not isinstance(value, Mapping):
        return hasattr(value, "step") and hasattr(value, "loss")
    columns = [value[name] for name in ("step", "loss") if name in value]
    return bool(columns) and not any(_holds_histories(column) for column in columns)


def _holds_histories(value: Any) -> bool:
    first = value[0] if isinstance(value, list | tuple) and value else value
    return isinstance(first, Mapping) or hasattr(first, "loss")


def _name(history: Any) -> str:
    name = history.get("name") if isinstance(history, Mapping) else getattr(history, "name", None)
    return _checked_name(name or "")


def _checked_name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"name={name!r} of a run is a {type(name).__name__}; expected a string")
    return name


def _column(history: Any, label: str, name: str) -> Any:
    def get(column: str) -> Any:
        return history.get(column) if mapping else getattr(history, column, None)

    mapping = isinstance(history, Mapping)
    column = get(name)
    if column is None or (name in OPTIONAL and not len(column)):
        if name in TRAIN[:2]:
            raise ValueError(f"{label} has no {name!r}; expected 'step' and 'loss'")
        return [None] * len(get("step")) if name in OPTIONAL else []
    if isinstance(column, str | bytes) or not hasattr(column, "__getitem__"):
        raise TypeError(f"{label}.{name} is a {type(column).__name__}; expected a list of numbers")
    return column


def _check_lengths(columns: Mapping[str, Sequence], label: str) -> None:
    for steps, names in (("step", TRAIN[1:]), ("validation_step", VALIDATION[1:])):
        expected = len(columns[steps])
        for name in names:
            if len(columns[name]) != expected:
                raise ValueError(
                    f"{label}.{name} has {len(columns[name])} values, but {label}.{steps} has "
                    f"{expected}; expected one value for each step"
                )


def _steps(column: Sequence, label: str, last: list[int]) -> list[int]:
    steps = []
    for i, value in enumerate(column):
        if not isinstance(value, Integral | np.integer) or not 0 <= int(value) <= LARGEST_STEP:
            raise ValueError(f"{label}={value!r} (new row {i}), expected a whole number from 0 on")
        before = steps[-1:] or last
        if before and int(value) <= before[0]:
            raise ValueError(
                f"{label}={value} comes after {before[0]}, expected steps that increase"
            )
        steps.append(int(value))
    return steps


def _numbers(column: Sequence, label: str) -> list[float]:
    """None is what JSON holds for a number that is not finite."""
    numbers = []
    for i, value in enumerate(column):
        try:
            numbers.append(float("nan") if value is None else _number(value))
        except (TypeError, ValueError):
            raise TypeError(f"{label}={value!r} (new row {i}), expected a number") from None
    return numbers


def _number(value: Any) -> float:
    if isinstance(value, str | bytes):  # float("3") would take it
        raise TypeError
    return float(value)


def _stride(steps: np.ndarray) -> tuple[int, int, bool]:
    """First step and stride, and whether these two say all."""
    if not len(steps):
        return 0, 1, True
    stride = int(steps[1] - steps[0]) if len(steps) > 1 else 1
    regular = bool((np.diff(steps) == stride).all())
    return int(steps[0]), stride, regular
