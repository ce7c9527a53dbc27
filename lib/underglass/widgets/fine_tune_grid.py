"""Fine-tuning runs as the explorer's data: sorted into cells, checked, thinned and packed.

A cell is one method at one rate with one amount of data; its runs differ in the seed alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from underglass.widgets.histories import Seed

SETTINGS = ("method", "rate", "amount", "seed")
COSTS = ("seconds", "memory", "stored", "trained")
ROWS = 60  # a picture of a run is 140 pixels wide or more
CHECKS = 30

Key = tuple[str, float, int]  # method, rate, amount


@dataclass(frozen=True)
class One:
    """One run of a cell; its accuracy is None where it diverged, a cost where none was measured."""

    seed: int
    accuracy: float | None
    costs: dict[str, float | None]
    curve: Seed


Cells = dict[Key, list[One]]


def read(runs: Any) -> Cells:
    """The cells, by method (in the order of the runs), rate and amount; of each its seeds."""
    if not isinstance(runs, list | tuple):
        hint = ", such as its .runs" if hasattr(runs, "runs") else ""
        raise TypeError(f"runs is a {type(runs).__name__}; expected a list of runs{hint}")
    if not runs:
        raise ValueError("runs is empty; expected at least one run")
    cells: Cells = {}
    for i, run in enumerate(runs):
        key, one = _run(run, f"runs[{i}]")
        cell = cells.setdefault(key, [])
        if any(one.seed == other.seed for other in cell):
            method, rate, amount = key
            raise ValueError(
                f"runs[{i}] is {method!r} at rate {rate:g} with {amount} and seed {one.seed} once "
                "more; expected each seed once in a cell"
            )
        cell.append(one)
    methods = list(dict.fromkeys(method for method, _, _ in cells))
    order = sorted(cells, key=lambda key: (methods.index(key[0]), key[1], key[2]))
    return {key: sorted(cells[key], key=lambda one: one.seed) for key in order}


def _run(run: Any, label: str) -> tuple[Key, One]:
    for name in ("settings", "history", "outcome"):
        if not hasattr(run, name):
            raise TypeError(
                f"{label} is a {type(run).__name__} without {name!r}; expected a run with "
                "settings, history and outcome"
            )
    settings, outcome = (_mapping(getattr(run, n), f"{label}.{n}") for n in ("settings", "outcome"))
    for name in SETTINGS:
        if name not in settings:
            raise ValueError(f"{label}.settings has no {name!r}; expected {', '.join(SETTINGS)}")
    place = f"{label}.settings"
    if not isinstance(settings["method"], str):
        raise TypeError(f"{place}['method']={settings['method']!r}, expected a string")
    rate = _number(settings, "rate", place)
    if rate is None or rate <= 0:
        raise ValueError(f"{place}['rate']={settings['rate']!r}, expected more than 0")
    amount, seed = (_whole(settings, n, place, low) for n, low in (("amount", 1), ("seed", 0)))
    place = f"{label}.outcome"
    if "accuracy" not in outcome:
        raise ValueError(f"{place} has no 'accuracy'; expected the share that is right, 0 to 1")
    accuracy = _number(outcome, "accuracy", place)
    if accuracy is not None and not 0 <= accuracy <= 1:
        raise ValueError(f"{place}['accuracy']={accuracy}, expected a share, 0 to 1")
    costs = {name: _number(outcome, name, place) for name in COSTS}
    for name, cost in costs.items():
        if cost is not None and cost < 0:
            raise ValueError(f"{place}[{name!r}]={cost}, expected 0 or more")
    curve, columns = Seed().read(run.history, f"{label}.history")
    curve.append(columns)
    return (settings["method"], rate, amount), One(seed, accuracy, costs, curve)


def _mapping(value: Any, label: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{label} is a {type(value).__name__}; expected a dict")
    return value


def _number(values: Mapping[str, Any], name: str, label: str) -> float | None:
    """None where there is none, and for NaN, which JSON does not hold."""
    value = values.get(name)
    if value is None:
        return None
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{label}[{name!r}]={value!r}, expected a number")
    if math.isinf(value):
        raise ValueError(f"{label}[{name!r}]={value!r}, expected a finite number")
    return None if math.isnan(value) else float(value)


def _whole(values: Mapping[str, Any], name: str, label: str, low: int) -> int:
    value = values[name]
    if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < low:
        raise ValueError(f"{label}[{name!r}]={value!r}, expected a whole number from {low} on")
    return int(value)


def mean(cell: list[One]) -> float | None:
    """The mean accuracy of the seeds that did not diverge."""
    kept = [one.accuracy for one in cell if one.accuracy is not None]
    return math.fsum(kept) / len(kept) if kept else None


def best(cells: Cells, method: str, amount: int) -> float | None:
    """The rate of the highest mean accuracy, of those at which no seed diverged."""
    means = {
        rate: mean(cell)
        for (own, rate, of), cell in cells.items()
        if (own, of) == (method, amount) and all(one.accuracy is not None for one in cell)
    }
    return max(means, key=lambda rate: means[rate] or 0.0) if means else None


def packed(cells: Cells) -> dict[str, Any]:
    """What the browser is given: the cells with what each run came to, and thinned curves."""
    methods = list(dict.fromkeys(method for method, _, _ in cells))
    runs = [one for cell in cells.values() for one in cell]
    return {
        "_methods": methods,
        "_cells": [
            {
                "method": methods.index(method),
                "rate": rate,
                "amount": amount,
                "mean": mean(cell),
                "accuracy": [one.accuracy for one in cell],
            }
            | {name: [one.costs[name] for one in cell] for name in COSTS}
            for (method, rate, amount), cell in cells.items()
        ],
        "_curves": b"".join(_thinned(one.curve).packed(i, (0, 0)) for i, one in enumerate(runs)),
        "_apart": max(_apart(one.curve) for one in runs),
    }


def _apart(curve: Seed) -> int:
    """How many steps become one point."""
    return max(1, math.ceil(len(curve.columns["step"]) / ROWS))


def _thinned(curve: Seed) -> Seed:
    """Means of so many steps in a row that at most 60 are left, each at the last of its steps.

    Of the validation losses, if they are more than 30, every second (third, ...) one is kept, the
    last of all among them.
    """
    columns, apart = curve.columns, _apart(curve)
    starts = range(0, len(columns["step"]), apart)
    steps = [columns["step"][start : start + apart][-1] for start in starts]
    rows = [columns["loss"][start : start + apart] for start in starts]
    every = max(1, math.ceil(len(columns["validation_step"]) / CHECKS))
    checks = {n: columns[n][::-1][::every][::-1] for n in ("validation_step", "validation_loss")}
    thin = Seed()
    thin.append(
        {"step": steps, "loss": [sum(row) / len(row) for row in rows]}
        | {name: [math.nan] * len(steps) for name in ("rate", "gradient_norm")}
        | checks
    )
    return thin
