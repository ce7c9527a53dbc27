"""What tests of widgets share: reading numbers, timing, and showing a widget as a notebook does."""

import re
from statistics import median

import numpy as np
from playwright.sync_api import Locator, Page
from underglass.widgets.frame import Widget

# A notebook's way to show a widget: drawn outside the page, put into it later.
LATER = """async ([source, state]) => {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const { default: widget } = await import(url);
  const heard = new Map(), place = document.createElement("div");
  const model = { get: (name) => state[name], set() {}, save_changes() {},
    on(event, f) { heard.set(f, event); }, off(event, f) { heard.delete(f); } };
  window.heard = heard;
  window.stop = widget.render({ model, el: place });
  document.querySelector(".ug").replaceWith(place);
}"""


def put_later(page: Page, widget: Widget) -> None:
    """Replace the first widget of the page by `widget`, drawn outside and put in afterwards."""
    state = {k: v for k, v in widget.get_state().items() if k[:1] != "_" or k == "_start"}
    page.evaluate(LATER, [widget._esm, state])


def number(text: str | None) -> float:
    """A number as it is shown, with a real minus sign."""
    return float((text or "").replace("−", "-").replace("∞", "inf"))


def luminance(colour: str) -> float:
    """How light a colour "rgb(1, 2, 3)" is, from 0 to 1, as WCAG counts."""
    channels = [float(x) / 255 for x in re.findall(r"[\d.]+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def script_time(page: Page, control: Locator, update: str, count: int = 300) -> float:
    """Milliseconds of processor time that a page's scripts take for one `update`, on average.

    Processor time, and not the clock's: a machine that is busy with other things delays an update
    without making it any dearer. `update` is JavaScript that knows `node` and the round `n`; what
    it queues as a microtask counts too.
    """
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return next(m["value"] for m in metrics if m["name"] == "ScriptDuration")

    script = f"""async (node, count) => {{
      for (let n = 0; n < count; n++) {{ {update}; await null; await null; }}
    }}"""
    means = []
    for _ in range(5):
        before = spent()
        control.evaluate(script, count // 5)
        means.append(1000 * (spent() - before) / (count // 5))
    return median(means)
