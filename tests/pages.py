"""A real Chromium for tests: find it, open pages in it, and build a page out of widgets."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import live_weights
from ipywidgets import Widget
from ipywidgets.embed import dependency_state, embed_data
from playwright.sync_api import Browser, Page, Playwright

RUNTIME = Path(__file__).parents[1] / "book" / "widget_runtime.js"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# As root a sandbox cannot start; the rest keeps the browser from calling home.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
PAGE = """<!doctype html>
<html lang="en" data-theme="{theme}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>widgets</title>
<link rel="icon" href="data:,">
<style>html {{ background: {back} }} body {{ max-width: 760px; margin: 16px auto; padding: 0 8px }}
.cell_output {{ margin: 0 0 24px }}</style></head>
<body>{views}
<script type="application/vnd.jupyter.widget-state+json">{state}</script>
<script>{runtime}</script></body></html>
"""
VIEW = """<div class="cell_output">
<script type="application/vnd.jupyter.widget-view+json">{}</script></div>"""


def find_chromium(playwright: Playwright) -> str | None:
    """The browser of the machine, by name, or the one that Playwright has installed."""
    for name in (os.environ.get("CHROMIUM", ""), *NAMES):
        if name and (found := shutil.which(name)):
            return found
    own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def launch(playwright: Playwright, path: str) -> Browser:
    return playwright.chromium.launch(executable_path=path, args=FLAGS)


@dataclass
class Heard:
    """What a page said and asked for while it was open."""

    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def foreign(self) -> list[str]:
        """Requests that left this machine."""
        here = ("file:", "data:", "blob:", "http://localhost", "http://127.0.0.1")
        return [url for url in self.requests if not url.startswith(here)]


@contextmanager
def opened(
    browser: Browser, url: str, *, theme: str = "light", width: int = 1000, height: int = 900
) -> Iterator[tuple[Page, Heard]]:
    """`url` in a fresh window, and everything that it logs or requests."""
    scheme = "dark" if theme == "dark" else "light"
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=width < 500
    )
    context.set_default_timeout(10_000)  # a page on this machine answers in milliseconds
    page, heard = context.new_page(), Heard()
    page.on("console", lambda m: heard.errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: heard.errors.append(str(error)))
    page.on("request", lambda request: heard.requests.append(request.url))
    try:
        page.goto(url)
        yield page, heard
    finally:
        context.close()


def widget_page(widgets: Sequence[Widget], path: Path, *, theme: str = "light") -> str:
    """Write a static page that shows `widgets` as the book does, without a kernel; its address.

    Widgets joined by `jslink` need the link itself among `widgets`; it is not displayed. The
    weights of live widgets are beside the page, as in the book.
    """
    state = dependency_state(widgets, drop_defaults=False)
    data = embed_data(views=widgets, state=state, drop_defaults=False)
    manager_state: dict[str, Any] = data["manager_state"]  # pyright: ignore[reportAssignmentType]
    live_weights.place(manager_state["state"], path.parent, str)
    shown = [v for v, w in zip(data["view_specs"], widgets, strict=True) if hasattr(w, "layout")]
    html = PAGE.format(
        theme=theme,
        back="#14181f" if theme == "dark" else "#ffffff",
        views="\n".join(VIEW.format(json.dumps(view)) for view in shown),
        state=json.dumps(manager_state).replace("</", "<\\/"),
        runtime=RUNTIME.read_text("utf-8"),
    )
    path.write_text(html, "utf-8")
    return path.resolve().as_uri()
