"""What tests of the rate finder share: a made-up grid, and its numbers by numpy alone."""

import math
import re

import numpy as np
from curve_cases import ticks, to_values
from playwright.sync_api import Page

RATES = {  # each at its own scale, as real optimizers are
    "SGD": [0.03, 0.1, 0.3, 1.0, 3.0],
    "AdamW": [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
    "Lion": [0.0001, 0.0003, 0.001, 0.003],
}
BEST = {"SGD": 0.7, "AdamW": 0.004, "Lion": 0.00009}  # Lion's lies at the edge of its grid
DIVERGED = {("SGD", 3.0): [41, 23, 41], ("AdamW", 0.1): [None, 57, None]}
STEPS = 97


def run(name: str, rate: float, seed: int, *, steps=STEPS, checks=True) -> dict:
    """A history that falls the faster the nearer its rate is to the best."""
    random = np.random.default_rng([seed, round(1e6 * rate)])
    far = abs(math.log(rate / BEST[name]))
    t = np.arange(1, steps + 1)
    fall = 3.0 * math.exp(-0.25 * far) + 0.1 * random.standard_normal()
    loss = 6.2 - fall * (1 - np.exp(-4 * t / STEPS)) + 0.05 * random.standard_normal(steps)
    end = DIVERGED.get((name, rate), [None] * 3)[seed]
    rows = steps if end is None else end - 1
    at = [step for step in range(12, steps, 12) if step <= rows] + [steps] * (rows == steps)
    history = {"step": t[:rows].tolist(), "loss": loss[:rows].tolist()}
    if checks:
        history["validation_step"] = at
        history["validation_loss"] = [float(loss[step - 1]) + 0.2 for step in at]
    return history


def grid(*, seeds=3, **options) -> dict[str, dict[float, list[dict]]]:
    return {
        name: {rate: [run(name, rate, seed, **options) for seed in range(seeds)] for rate in rates}
        for name, rates in RATES.items()
    }


def finals(histories: list[dict], *, steps=STEPS) -> list[float]:
    """The final losses of the seeds that reached the end."""
    whole = [one for one in histories if len(one["step"]) == steps]
    if all("validation_loss" in one for one in whole):
        return [one["validation_loss"][-1] for one in whole]
    return [float(np.mean(one["loss"][-math.ceil(steps / 10) :])) for one in whole]


def corners(page: Page, panel: str, selector: str) -> list[np.ndarray]:
    """The corners of a path in pixels of the picture, one table for each unbroken piece."""
    place = page.locator(f"svg[data-panel='{panel}']")
    origin = [float(place.get_attribute(name) or 0) for name in ("x", "y")]
    drawn = place.locator(selector).evaluate("node => node.getAttribute('d') ?? ''")
    pieces = drawn.replace("h0", "").rstrip("Z").split("M")[1:]
    return [
        np.array([[float(x) for x in pair.split()] for pair in piece.rstrip("Z").split("L")])
        + origin
        for piece in pieces
    ]


def lost_steps(name: str, rate: float) -> list[int]:
    return [step for step in DIVERGED.get((name, rate), []) if step is not None]


def whole_rates(data: dict, name: str) -> list[float]:
    """The rates at which no seed diverged."""
    return [rate for rate in data[name] if not lost_steps(name, rate)]


def mean_curve(histories: list[dict]) -> tuple[list[int], np.ndarray]:
    """Steps, and the mean of the seeds that have each."""
    steps = range(1, 1 + max(len(one["step"]) for one in histories))
    means = [
        np.mean([one["loss"][step - 1] for one in histories if len(one["step"]) >= step])
        for step in steps
    ]
    return list(steps), np.array(means)


def drawn_curve(page: Page, selector: str, *, log=False) -> list[tuple[np.ndarray, np.ndarray]]:
    """[step], [value] of each piece of a training curve, by the printed ticks."""
    return [
        (to_values(page, "step", piece[:, 0]), to_values(page, "loss", piece[:, 1], log=log))
        for piece in corners(page, "curves", selector)
    ]


def valley_points(page: Page, kind: str, optimizer: int, *, log=False):
    """[rate], [value] of what is drawn of an optimizer in the valley."""
    place = page.locator("svg[data-panel='valley']")
    origin = [float(place.get_attribute(name) or 0) for name in ("x", "y")]
    drawn = place.locator(f"[data-valley='{kind}'][data-optimizer='{optimizer}']")
    path = drawn.get_attribute("d") or ""
    if kind == "marks":  # each shape is drawn from its middle
        path = "".join(f"M{start}" for start in re.findall(r"M([-\d.]+ [-\d.]+)", path))
    pairs = re.findall(r"[ML]([-\d.]+) ([-\d.]+)", path)
    points = np.array([[float(x), float(y)] for x, y in pairs]) + origin
    rates = to_values(page, "rate", points[:, 0], log=True)
    return rates, to_values(page, "loss", points[:, 1], log=log)


def pixel_of_rate(page: Page, rate: float) -> tuple[float, float]:
    """Where a rate lies on the screen, by the printed ticks."""
    marks, box = ticks(page, "rate"), page.locator(".plot").bounding_box()
    assert box
    slope, start = np.polyfit(np.log(marks[:, 0]), marks[:, 1], 1)
    wide = page.locator(".plot").evaluate("svg => svg.viewBox.baseVal.width")
    middle = page.locator("svg[data-panel='valley']").bounding_box()
    assert middle
    x = box["x"] + (slope * math.log(rate) + start) * box["width"] / wide
    return x, middle["y"] + middle["height"] / 2
