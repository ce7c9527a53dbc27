"""What happened in a run, step by step: plain lists, to be plotted, compared and stored as JSON."""

import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from underglass.training.files import replace_file


@dataclass
class History:
    """One number a step in each list; the two of validation have one a validation.

    Attributes:
        step: 1, 2, 3, ...: how many steps had been taken then.
        loss: the loss that the step was taken on, so before it: mean over what its batches count.
        rate: the learning rate of the step (that of the first parameter group).
        gradient_norm: length of the gradient of all parameters together, before clipping; not a
            number (None in JSON) at a step that fp16's scaler skipped.
        tokens_per_second: what the loss counted, divided by the time of the step without
            validation and saving; where the loss returns a plain mean, the elements of the batch's
            first tensor.
        validation_step: the steps after which there was a validation.
        validation_loss: the loss of all validation batches together.
        name: what a picture calls the run.
    """

    step: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    tokens_per_second: list[float] = field(default_factory=list)
    validation_step: list[int] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    name: str = ""

    def __len__(self) -> int:
        return len(self.step)

    def __repr__(self) -> str:
        shown = f"loss {self.loss[0]:.4g} to {self.loss[-1]:.4g}" if self.loss else "empty"
        return f"History({self.name + ': ' if self.name else ''}{len(self)} steps, {shown})"

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON can hold it: numbers that are not finite become None."""
        columns = asdict(self)
        return {
            key: value if isinstance(value, str) else [_or_none(number) for number in value]
            for key, value in columns.items()
        }

    @classmethod
    def from_dict(cls, columns: dict[str, Any]) -> "History":
        """The history that `to_dict` wrote.

        Raises:
            TypeError, ValueError: if a column is missing, unknown, of another length than its
                neighbours, or holds anything but numbers.
        """
        _check_names(columns)
        name = columns["name"]
        if not isinstance(name, str):
            raise TypeError(f"name={name!r}: expected a string")
        numbers = {key: _column(key, columns[key]) for key in COLUMNS}
        for key in COLUMNS:
            like = "validation_step" if key.startswith("validation") else "step"
            if len(numbers[key]) != len(numbers[like]):
                raise ValueError(
                    f"{key} has {len(numbers[key])} entries: expected {len(numbers[like])}, "
                    f"as many as {like}"
                )
        return cls(**numbers, name=name)

    def save(self, path: str | Path) -> None:
        """Write JSON, under a temporary name first: what was there stays whole if that fails."""
        text = json.dumps(self.to_dict(), allow_nan=False) + "\n"
        replace_file(Path(path).expanduser(), text.encode())

    @classmethod
    def load(cls, path: str | Path) -> "History":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            TypeError, ValueError: if it is not a history.
        """
        try:
            columns = json.loads(Path(path).expanduser().read_text("utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is not JSON ({error})") from error
        if not isinstance(columns, dict):
            raise ValueError(f"{path} holds a {type(columns).__name__}: expected a JSON object")
        return cls.from_dict(columns)


COLUMNS = tuple(column.name for column in fields(History) if column.name != "name")
WHOLE = ("step", "validation_step")


def _or_none(number: float | int) -> float | int | None:
    return number if math.isfinite(number) else None


def _column(key: str, values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise TypeError(f"{key} is a {type(values).__name__}: expected a list of numbers")
    for value in values:
        wanted = (int,) if key in WHOLE else (int, float, type(None))
        if isinstance(value, bool) or not isinstance(value, wanted):
            raise TypeError(f"{key} holds {value!r}: expected numbers")
    if key in WHOLE:
        return values
    return [math.nan if value is None else float(value) for value in values]


def _check_names(columns: dict[str, Any]) -> None:
    expected = {*COLUMNS, "name"}
    if missing := sorted(expected - columns.keys()):
        raise ValueError(f"columns lacks {', '.join(missing)}: expected all of a History")
    if unknown := sorted(columns.keys() - expected):
        raise ValueError(f"columns has {', '.join(unknown)}: expected those of a History only")
