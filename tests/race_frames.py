"""How long the race's script takes for a frame: `python tests/race_frames.py`. No test.

All seven optimizers, 400 steps, 300 frames of each kind: one that moves the race on, and one in
which the reader drags the start, so that all of it is computed anew.
"""

import tempfile
from pathlib import Path

import numpy as np
from pages import find_chromium, launch, opened, widget_page
from playwright.sync_api import sync_playwright
from underglass.widgets import OptimizerRace
from underglass.widgets.surfaces import RUNNERS, SURFACES

FRAMES = 300
# Time every callback of an animation frame, of all frames in which the race moved on.
LISTEN = """() => {
  window.times = [];
  const ask = window.requestAnimationFrame;
  window.requestAnimationFrame = (f) => ask((now) => {
    const began = performance.now();
    f(now);
    times.push(performance.now() - began);
  });
}"""
DRAG = """async ([node, frames]) => {
  const times = [], box = node.getBoundingClientRect();
  node.setPointerCapture = () => {};
  node.hasPointerCapture = () => true;
  for (let n = 0; n < frames; n++) {
    const began = performance.now();
    node.dispatchEvent(new PointerEvent("pointermove", { bubbles: true,
      clientX: box.left + 5 + n % 200, clientY: box.top + 5 + n % 90 }));
    await null; await null; await null;
    times.push(performance.now() - began);
    await new Promise(requestAnimationFrame);
  }
  return times;
}"""


def tell(what: str, times: list[float]) -> None:
    median, high = np.percentile(times, [50, 95])
    print(f"{what}: median {median:.2f} ms, 95 % within {high:.2f} ms, {len(times)} frames")


def main() -> None:
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        path = find_chromium(playwright)
        assert path, "Chromium was not found"
        browser = launch(playwright, path)
        for name in SURFACES:
            race = OptimizerRace(name, optimizers=RUNNERS, steps=400)
            url = widget_page([race], Path(folder) / "page.html")
            with opened(browser, url) as (page, _):
                page.wait_for_selector("html[data-widgets=ready]", state="attached")
                page.evaluate(LISTEN)
                while page.evaluate("times.length") < FRAMES:  # a busy machine needs more races
                    page.get_by_role("button", name="Play").click()
                    page.wait_for_selector("button.play:text('Play')", timeout=60_000)
                tell(f"{name}, playing", page.evaluate("times"))
                grip = page.locator(".grip").element_handle()
                tell(f"{name}, dragging", page.evaluate(DRAG, [grip, FRAMES]))


if __name__ == "__main__":
    main()
