"""What tests of training curves share: made-up histories, and numbers read from the drawing."""

import re

import numpy as np
from driving import number
from playwright.sync_api import Page


def history(n=97, *, seed=0, start=1, every=1, name="", checks=7) -> dict:
    """A run with noise, a schedule, and a validation now and then."""
    random = np.random.default_rng(seed)
    t = start + every * np.arange(n)
    loss = 1.7 + 4 * np.exp(-3 * np.arange(n) / n) + 0.3 * random.standard_normal(n)
    at = [int(x) for x in t[checks - 1 :: checks]]
    return {
        "name": name,
        "step": t.tolist(),
        "loss": loss.tolist(),
        "rate": (1e-3 * (1 + np.cos(np.pi * np.arange(n) / n))).tolist(),
        "gradient_norm": (0.5 + random.gamma(2.0, 1.0, n)).tolist(),
        "tokens_per_second": [1e4] * n,
        "validation_step": at,
        "validation_loss": (2.1 + 4 * np.exp(-3 * np.arange(len(at)) / len(at))).tolist(),
    }


def smoothed(values, beta: float) -> np.ndarray:
    """m_t / (1 - β^t), by the formula; values that are not finite stay and count for nothing."""
    out, mean, t = [], 0.0, 0
    for value in values:
        if not np.isfinite(value):
            out.append(value)
            continue
        t += 1
        mean = beta * mean + (1 - beta) * value
        out.append(mean / (1 - beta**t))
    return np.array(out)


def ticks(page: Page, axis: str) -> np.ndarray:
    """[value, pixel] of each tick of an axis; an upright one has all at the same x."""
    found = page.locator(f".plot text[data-axis='{axis}']").evaluate_all(
        "all => all.map(t => [Number(t.dataset.value), t.textContent, "
        "Number(t.getAttribute('x')), Number(t.getAttribute('y'))])"
    )
    upright = len({x for *_, x, _ in found}) == 1
    for value, text, *_ in found:
        assert number(text) == value  # what is printed is what the axis means
    return np.array([[value, y - 4 if upright else x] for value, _, x, y in found])


def to_values(page: Page, axis: str, pixels, log=False) -> np.ndarray:
    """The numbers that stand at `pixels`, by the printed ticks alone."""
    marks = ticks(page, axis)
    known = np.log(marks[:, 0]) if log else marks[:, 0]
    slope, start = np.polyfit(marks[:, 1], known, 1)
    np.testing.assert_allclose(  # the ticks themselves stand on one straight or logarithmic scale
        known, slope * marks[:, 1] + start, atol=0.11 * abs(slope)
    )
    values = slope * np.asarray(pixels) + start
    return np.exp(values) if log else values


def path(page: Page, panel: str, kind: str, run: int) -> str:
    return page.locator(
        f"svg[data-panel='{panel}'] [data-curve='{kind}'][data-run='{run}']"
    ).evaluate("node => node.getAttribute('d') ?? ''")


def lines(page: Page, panel: str, kind: str, run: int) -> list[np.ndarray]:
    """The corners of a curve in pixels of the picture, one table for each unbroken piece."""
    place = page.locator(f"svg[data-panel='{panel}']")
    corner = [float(place.get_attribute(name) or 0) for name in ("x", "y")]
    pieces = path(page, panel, kind, run).replace("h0", "").rstrip("Z").split("M")[1:]
    return [
        np.array([[float(x) for x in pair.split()] for pair in piece.rstrip("Z").split("L")])
        + corner
        for piece in pieces
    ]


def curve(page: Page, panel: str, kind: str, run: int, *, log=False, log_step=False):
    """[step, value] of a drawn curve's corners, by the printed ticks."""
    title = {"loss": "loss", "rate": "learning rate", "gradient": "gradient norm"}[panel]
    (corners,) = lines(page, panel, kind, run)
    return np.stack(
        [
            to_values(page, "step", corners[:, 0], log_step),
            to_values(page, title, corners[:, 1], log),
        ],
        axis=1,
    )


def cells(page: Page, run: int) -> dict[str, str]:
    """The visible numbers of a run, by column; a second line (edges, other step) after a bar."""
    row = page.locator(".values tbody tr").nth(run)
    found = row.locator("td:not([hidden])").evaluate_all(
        "all => all.map(c => [c.dataset.column, c.firstChild.data, c.lastChild.textContent])"
    )
    return {column: value + (f" | {more}" if more else "") for column, value, more in found}


def spoken(page: Page) -> str:
    return page.get_by_role("slider", name="Step").get_attribute("aria-valuetext") or ""


def spoken_values(page: Page, run: str) -> dict[str, float]:
    """`{"training loss": 2.1, ...}` of a run, out of what a screen reader hears."""
    said = next(part for part in spoken(page).split("; ") if f"{run}: " in part)
    return {
        name.strip(): number(value)
        for name, value in re.findall(
            r"([a-z ]+) ([−\d.e∞]+|NaN)(?=[ ,(]|$)", said.split(": ", 1)[1]
        )
    }


def unpacked(packed: bytes) -> list[dict[str, np.ndarray]]:
    """The rows of each packed run, in order; written apart from the code that packs them."""
    words, runs = np.frombuffer(packed, "<u4"), {}
    while len(words):
        number, rows, checks, flags, first, stride = (int(x) for x in words[:6])
        assert flags in (0, 1)  # no rates, no gradient norms: the picture does not show them
        words = words[6:]

        def take(count, kind):
            nonlocal words
            column, words = words[:count].view(kind), words[count:]
            return column

        runs[number] = {
            "step": take(rows, "<u4") if flags else first + stride * np.arange(rows),
            "loss": take(rows, "<f4"),
            "validation_step": take(checks, "<u4"),
            "validation_loss": take(checks, "<f4"),
        }
    return [runs.get(i, {}) for i in range(1 + max(runs))]
