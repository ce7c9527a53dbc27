"""A grid of runs, rate by rate, as the rate finder's data: read, checked, measured and packed."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from underglass.widgets.histories import Seed, named

Runs = Mapping[str, Mapping[float, list[Seed]]]


def read(grid: Any) -> Runs:
    """The grid with its rates in order, every history read and checked."""
    if not isinstance(grid, Mapping):
        raise TypeError(f"grid is a {type(grid).__name__}; expected a dict of optimizers' names")
    if not grid:
        raise ValueError("grid is empty; expected at least one optimizer")
    runs = {}
    for name, rates in grid.items():
        if not isinstance(name, str):
            raise TypeError(f"grid names {name!r}, a {type(name).__name__}; expected a string")
        if not isinstance(rates, Mapping):
            kind = type(rates).__name__
            raise TypeError(f"grid[{name!r}] is a {kind}; expected a dict from rate to histories")
        if not rates:
            raise ValueError(f"grid[{name!r}] is empty; expected at least one rate")
        checked = {_rate(rate, name): rate for rate in rates}
        runs[name] = {
            rate: _seeds(rates[checked[rate]], f"grid[{name!r}][{checked[rate]!r}]")
            for rate in sorted(checked)
        }
    if not any(seed.columns["step"] for seed in _all(runs)):
        raise ValueError("grid holds no step of any run; expected at least one")
    return runs


def _rate(rate: Any, name: str) -> float:
    if not isinstance(rate, Real) or isinstance(rate, bool):
        raise TypeError(f"grid[{name!r}] has a rate {rate!r}; expected a number")
    if not 0 < float(rate) < math.inf:
        raise ValueError(f"grid[{name!r}] has a rate {rate}; expected a positive, finite one")
    return float(rate)


def _seeds(histories: Any, label: str) -> list[Seed]:
    found = [pair for pairs in named(histories, label).values() for pair in pairs]
    if not found:
        raise ValueError(f"{label} is empty; expected one history for each seed")
    seeds = []
    for history, place in found:
        seed, columns = Seed().read(history, place)
        seed.append(columns)
        seeds.append(seed)
    return seeds


def _all(runs: Runs) -> list[Seed]:
    return [seed for rates in runs.values() for seeds in rates.values() for seed in seeds]


def measured(runs: Runs) -> dict[str, Any]:
    """What the browser is given: final losses, divergences, and the curves up to there."""
    every = _all(runs)
    ends = [(s.columns["step"][0], s.columns["step"][-1]) for s in every if s.columns["step"]]
    first, last = min(start for start, _ in ends), max(end for _, end in ends)
    diverged = {seed: _diverged(seed.columns, first, last) for seed in every}
    begun = [seed.columns["loss"][0] for seed in every if seed.columns["loss"]]
    whole = [seed for seed in every if diverged[seed] is None]
    validated = bool(whole) and all(seed.columns["validation_loss"] for seed in whole)
    return {
        "_grid": [
            {
                "name": name,
                "rates": [
                    {
                        "rate": rate,
                        "finals": [
                            _final(seed.columns, validated) if diverged[seed] is None else None
                            for seed in seeds
                        ],
                        "diverged": [diverged[seed] for seed in seeds],
                    }
                    for rate, seeds in rates.items()
                ],
            }
            for name, rates in runs.items()
        ],
        "_measure": "validation" if validated else "training",
        "_first": float(np.nanmedian([x for x in begun if math.isfinite(x)] or [0.0])),
        "_curves": b"".join(
            _until(seed.columns, diverged[seed]).packed(i, (0, 0)) for i, seed in enumerate(every)
        ),
    }


def _diverged(columns: Mapping[str, list], first: int, last: int) -> int | None:
    """The step at which a run diverged, in a grid whose runs go from step `first` to `last`."""
    steps = columns["step"]
    rows = zip(steps, columns["loss"], columns["gradient_norm"], strict=True)
    bad = [step for step, loss, norm in rows if not math.isfinite(loss) or math.isinf(norm)]
    checks = zip(columns["validation_step"], columns["validation_loss"], strict=True)
    bad += [step for step, loss in checks if not math.isfinite(loss)]
    if bad:
        return min(bad)
    stride = steps[1] - steps[0] if len(steps) > 1 else 1
    following = steps[-1] + stride if steps else first
    return following if following <= last else None


def _final(columns: Mapping[str, list], validated: bool) -> float:
    if validated:
        return columns["validation_loss"][-1]
    losses = columns["loss"]
    return float(np.mean(losses[-math.ceil(len(losses) / 10) :]))


def _until(columns: Mapping[str, list], end: int | None) -> Seed:
    """Loss and validation before the step at which the run diverged."""
    seed, kept = Seed(), {}
    for steps, values in (("step", "loss"), ("validation_step", "validation_loss")):
        rows = sum(end is None or step < end for step in columns[steps])
        kept |= {steps: columns[steps][:rows], values: columns[values][:rows]}
    kept |= {name: [math.nan] * len(kept["step"]) for name in ("rate", "gradient_norm")}
    seed.append(kept)
    return seed


def best(rates: list[dict]) -> float | None:
    """The rate of the lowest mean, of those whose every seed reached the end."""
    whole = [one for one in rates if None not in one["finals"]]
    return min(whole, key=lambda one: np.mean(one["finals"]))["rate"] if whole else None
