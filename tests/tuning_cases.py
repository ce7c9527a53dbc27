"""What tests of the fine-tuning explorer share: made-up runs, and their numbers by numpy alone."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

RATES = {  # each method at its own scale, as real ones are
    "head": [0.001, 0.003, 0.01, 0.03],
    "full": [1e-5, 3e-5, 1e-4, 3e-4, 1e-3],
    "lora": [1e-4, 3e-4, 1e-3, 3e-3],
}
AMOUNTS = [50, 200, 800, 3200]
BEST = {"head": 0.012, "full": 9e-5, "lora": 0.0011}
TOP = {"head": 0.80, "full": 0.875, "lora": 0.87}  # with all of the data
LACK = {"head": 0.05, "full": 0.30, "lora": 0.24}  # of it with 50 sentences
COSTS = {  # seconds with 800 sentences, bytes of memory, bytes to store, numbers trained
    "head": (4.0, 3.1e8, 3_400, 770),
    "full": (61.0, 1.9e9, 91_000_000, 22_713_986),
    "lora": (48.0, 1.4e9, 620_000, 148_226),
}
SEEDS = {("head", 0.01, 200): 1, ("lora", 1e-3, 50): 5}  # elsewhere three
MISSING = {("full", 1e-5, 50), ("lora", 3e-3, 3200)}
LOST = {("full", 1e-3, 3200): (1,), ("full", 1e-3, 800): (0, 1, 2), ("full", 1e-3, 50): (0, 1)}

Key = tuple[str, float, int]


@dataclass
class Run:
    settings: dict[str, Any]
    history: Any
    outcome: dict[str, Any]


def history(random: np.random.Generator, far: float, steps: int, lost: bool) -> dict[str, list]:
    t = np.arange(1, steps + 1)
    fall = 0.55 * math.exp(-0.5 * far) * (1 - np.exp(-5 * t / steps))
    loss = 0.7 - fall + 0.04 * random.standard_normal(steps)
    at = sorted({int(x) for x in np.linspace(steps / 5, steps, 5)})
    checks = [0.7 - 0.6 * float(fall[i - 1]) + 0.01 * random.standard_normal() for i in at]
    rows = steps if not lost else steps // 2
    return {
        "step": t[:rows].tolist(),
        "loss": loss[:rows].tolist(),
        "validation_step": [i for i in at if i <= rows],
        "validation_loss": checks[: sum(i <= rows for i in at)],
    }


def grid() -> list[Run]:
    """The runs of every cell, not in the order of the grid."""
    runs = []
    for m, (method, rates) in enumerate(RATES.items()):
        for rate in rates:
            for amount in AMOUNTS:
                key = (method, rate, amount)
                for seed in range(0 if key in MISSING else SEEDS.get(key, 3)):
                    random = np.random.default_rng([m, round(1e6 * rate), amount, seed])
                    far = abs(math.log(rate / BEST[method]))
                    little = math.log(AMOUNTS[-1] / amount) / math.log(AMOUNTS[-1] / AMOUNTS[0])
                    right = TOP[method] - LACK[method] * little**2 - 0.03 * far**1.5
                    right += (0.004 + 0.02 * little) * random.standard_normal()
                    lost = seed in LOST.get(key, ())
                    seconds, memory, stored, trained = COSTS[method]
                    outcome = {
                        "accuracy": None if lost else round(min(max(right, 0.45), 1) * 1000) / 1000,
                        "seconds": seconds * (amount / 800) ** 0.5 * random.uniform(0.9, 1.1),
                        "memory": memory,
                        "stored": stored,
                        "trained": trained,
                    }
                    settings = {"method": method, "rate": rate, "amount": amount, "seed": seed}
                    steps = {50: 30, 200: 60, 800: 100, 3200: 250}[amount]
                    runs.append(Run(settings, history(random, far, steps, lost), outcome))
    return runs[::2] + runs[1::2]


def cells(runs: list[Run]) -> dict[Key, list[Run]]:
    """The runs of each cell, by seed."""
    found: dict[Key, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.settings["seed"]):
        key = tuple(run.settings[name] for name in ("method", "rate", "amount"))
        found.setdefault(key, []).append(run)  # pyright: ignore[reportArgumentType]
    return found


def accuracies(runs: list[Run]) -> list[float]:
    """Of the seeds that did not diverge."""
    return [r.outcome["accuracy"] for r in runs if r.outcome["accuracy"] is not None]


def best_rate(found: dict[Key, list[Run]], method: str, amount: int) -> float | None:
    """The rate of the highest mean, of those at which no seed diverged."""
    means = {
        rate: np.mean(accuracies(found[method, rate, amount]))
        for rate in RATES[method]
        if (method, rate, amount) in found
        and len(accuracies(found[method, rate, amount])) == len(found[method, rate, amount])
    }
    return max(means, key=means.__getitem__) if means else None


def whole(found: dict[Key, list[Run]], method: str, rate: float, amount: int) -> bool:
    """Whether the cell was run, and no seed of it diverged."""
    runs = found.get((method, rate, amount), [])
    return bool(runs) and len(accuracies(runs)) == len(runs)


def ranking(found: dict[Key, list[Run]], amount: int, rate: float | None = None) -> list[Key]:
    """The methods' cells by mean accuracy, best first: each at its best rate, or all at this."""
    cells = []
    for method in RATES:
        at = best_rate(found, method, amount) if rate is None else rate
        if at is not None and whole(found, method, at, amount):
            cells.append((method, at, amount))
    return sorted(cells, key=lambda key: -float(np.mean(accuracies(found[key]))))


def thinned(runs: list[Run]) -> tuple[np.ndarray, np.ndarray]:
    """[point] steps, and [seed point] means of as many losses as leave at most 60 points."""
    steps = runs[0].history["step"]
    apart = math.ceil(len(steps) / 60)
    starts = range(0, len(steps), apart)
    losses = [[np.mean(r.history["loss"][i : i + apart]) for i in starts] for r in runs]
    return np.array([steps[i : i + apart][-1] for i in starts]), np.array(losses)


def followed(found: dict[Key, list[Run]], method: str, rate: float | None = None) -> list[Key]:
    """The cells of a method over the amount of data that have an accuracy, as in `ranking`."""
    cells = []
    for amount in AMOUNTS:
        at = best_rate(found, method, amount) if rate is None else rate
        if at is not None and accuracies(found.get((method, at, amount), [])):
            cells.append((method, at, amount))
    return cells
