"""What tests of the race share: the library's own steps, and numbers read from the page."""

import re

import numpy as np
import torch
from playwright.sync_api import Locator, Page
from underglass.optimizers import SGD, Adam, AdamW, Lion, RMSProp
from underglass.widgets.surfaces import RUNNERS, Surface, surface

TOO_HIGH = 1e8  # where a runner counts as diverged


def optimizer(name: str, place: torch.Tensor, rate: float, betas, decay: float, foreach=False):
    """The library's optimizer that a runner is named after."""
    beta1, beta2 = betas
    options = {"lr": rate, "weight_decay": decay, "foreach": foreach}
    match name:
        case "SGD":
            return SGD([place], **options)
        case "momentum":
            return SGD([place], momentum=beta1, **options)
        case "Nesterov":  # without momentum there is nothing to look ahead along
            return SGD([place], momentum=beta1, nesterov=beta1 > 0, **options)
        case "RMSProp":
            return RMSProp([place], alpha=beta2, **options)
        case "Adam":
            return Adam([place], betas=(beta1, beta2), **options)
        case "AdamW":
            return AdamW([place], betas=(beta1, beta2), **options)
        case _:
            return Lion([place], betas=(beta1, beta2), **options)


def library_run(
    ground: Surface, name: str, start, rate, betas, decay, steps, *, seed=0, foreach=False
) -> np.ndarray:
    """[x, y, height] at each step, slopes by autograd; it ends where the height is beyond 10⁸."""
    place = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    rule = optimizer(name, place, float(rate), betas, decay, foreach)
    draws = ground.draws(steps, seed) if steps else None
    rows = []
    for t in range(steps + 1):
        rows.append([*place.tolist(), ground(place).item()])
        if t == steps or not rows[-1][2] <= TOO_HIGH:
            break
        rule.zero_grad()
        ground(place, draws[t] if ground.noise and draws is not None else None).backward()
        rule.step()
    return np.array(rows)


ROWS = """() => Object.fromEntries(
  [...document.querySelectorAll(".values tbody tr:not(.off)")].map(row => {
    const cell = (name) => row.querySelector(`[data-column='${name}']`);
    const { step, x, y, height } = cell("place").dataset;
    return [row.dataset.runner, { step: Number(step), x: Number(x), y: Number(y),
      height: Number(height), rate: Number(row.querySelector("button").dataset.number),
      shown: ["rate", "height", "place", "fares"].map((name) => cell(name).textContent) }];
  }))"""
LISTEN = """(node, rows) => {
  window.read = [];
  node.oninput = () => read.push([node.getAttribute("aria-valuetext"), eval(rows)()]);
}"""


def rows(page: Page) -> dict[str, dict]:
    """What the table says of each runner that runs: words as shown, numbers to the last digit."""
    return page.evaluate(ROWS)


def walked(page: Page, steps: int) -> dict[str, np.ndarray]:
    """[x, y, height] of each runner at each step, read after each press of the right arrow key."""
    slider = step_slider(page)
    slider.press("Home")
    first = rows(page)
    slider.evaluate(LISTEN, ROWS)
    for _ in range(steps):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("steps => read.length === steps", arg=steps)
    said, read = zip(*page.evaluate("read"), strict=True)
    assert said == tuple(str(t) for t in range(1, steps + 1))
    return {
        name: np.array([[now[name][key] for key in ("x", "y", "height")] for now in (first, *read)])
        for name in first
    }


def furthest(page: Page, name: str, steps: int, betas, decay, **more) -> float:
    """The largest difference between what the page tells at each step and the library's steps."""
    ground, found, worst = surface(name), walked(page, steps), 0.0
    assert list(found) == list(RUNNERS)
    rates = {runner: row["rate"] for runner, row in rows(page).items()}
    for runner, own in found.items():
        start = own[0, :2].tolist()
        theirs = library_run(ground, runner, start, rates[runner], betas, decay, steps, **more)
        last = len(theirs) - 1  # where it diverged, or the last step
        assert (own[last:] == own[last]).all()
        scale = np.maximum(1, np.abs(theirs))
        worst = max(worst, float((np.abs(own[: last + 1] - theirs) / scale).max()))
    return worst


def step_slider(page: Page) -> Locator:
    return page.get_by_role("slider", name="step", exact=True)


def grip(page: Page) -> Locator:
    return page.locator(".grip")


def axis_of(page: Page, axis: str, log: bool = False) -> tuple[float, float]:
    """Slope and start of an axis, pixels over values, by its printed ticks alone."""
    marks = page.locator(f".plot text[data-axis='{axis}']").evaluate_all(
        "(all, at) => all.map(t => [Number(t.textContent.replaceAll('−', '-')), "
        "Number(t.getAttribute(at)) - 4 * (at == 'y')])",
        "y" if axis in ("y", "height") else "x",
    )
    values, pixels = np.array(marks).T
    slope, start = np.polyfit(np.log(values) if log else values, pixels, 1)
    return float(slope), float(start)


def pixel_of(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a place of the map lies on the screen, by the printed ticks alone."""
    box = page.locator(".plot").bounding_box()
    assert box
    wide = page.locator(".plot").evaluate("svg => svg.viewBox.baseVal.width")
    (a, left), (b, bottom) = axis_of(page, "x"), axis_of(page, "y")
    enlarged = box["width"] / wide
    return box["x"] + (a * x + left) * enlarged, box["y"] + (b * y + bottom) * enlarged


def corners(page: Page, select: str) -> list[np.ndarray]:
    """The corners of paths, in pixels of the picture."""
    found = page.locator(select).evaluate_all(
        "all => all.map(e => [e.getAttribute('d'), e.ownerSVGElement.x.baseVal.value, "
        "e.ownerSVGElement.y.baseVal.value])"
    )
    return [
        np.array([pair.split() for pair in re.findall(r"[ML]([^MLZ]+)", path)], float) + corner
        for path, *corner in found
    ]


def drawn(page: Page, part: str, runner: str, *, log: bool = True) -> np.ndarray:
    """Corners of a runner's path in the "map" (x, y) or "plot" (step, height), by the ticks."""
    names = ("step", "height") if part == "plot" else ("x", "y")
    log = log and part == "plot"
    on_map, on_plot = corners(page, f"[data-part='line'][data-runner='{runner}']")
    pixels = on_plot if part == "plot" else on_map
    (a, left), (b, bottom) = axis_of(page, names[0]), axis_of(page, names[1], log)
    values = (pixels[:, 1] - bottom) / b
    return np.stack([(pixels[:, 0] - left) / a, np.exp(values) if log else values], axis=1)


def contours(page: Page) -> list[np.ndarray]:
    """The corners (x, y) of each contour, by the ticks."""
    (a, left), (b, bottom) = axis_of(page, "x"), axis_of(page, "y")
    return [(pixels - [left, bottom]) / [a, b] for pixels in corners(page, ".contour")]
