import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import torch
from pages import find_chromium, launch, opened, widget_page
from playwright.sync_api import Browser, Page, sync_playwright

HOW_TO_GET_CHROMIUM = (
    "Chromium was not found, so nothing that needs a browser ran. Install it "
    "(Debian, Ubuntu: apt-get install chromium; elsewhere: playwright install chromium) and run "
    "again, or name it: CHROMIUM=/path/to/chromium"
)
_not_run: list[str] = []


@pytest.fixture(autouse=True)
def _seed():
    """Every test starts from one seed; dtypes are passed explicitly, the default stays float32."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def _chromium() -> Iterator[Browser | None]:
    with sync_playwright() as playwright:
        path = find_chromium(playwright)
        browser = launch(playwright, path) if path else None
        yield browser
        if browser:
            browser.close()


@pytest.fixture
def browser(_chromium: Browser | None, request: pytest.FixtureRequest) -> Browser:
    """A real Chromium. Where there is none the test is listed as not run; with CI=true it fails."""
    if _chromium is None:
        _not_run.append(request.node.nodeid)
        if os.environ.get("CI") == "true":
            pytest.fail(HOW_TO_GET_CHROMIUM)
        pytest.skip("needs Chromium")
    return _chromium


@pytest.fixture
def show(browser: Browser, tmp_path) -> Iterator[Callable[..., Page]]:
    """Show widgets in a page of their own: `page = show(widget, theme="dark", width=360)`.

    At the end of the test the page must have logged no error and asked no other host.
    """
    with ExitStack() as stack:
        pages = []

        def _show(*widgets, theme="light", width=1000, height=900) -> Page:
            url = widget_page(widgets, tmp_path / f"page{len(pages)}.html", theme=theme)
            page, heard = stack.enter_context(
                opened(browser, url, theme=theme, width=width, height=height)
            )
            pages.append(heard)
            page.wait_for_selector("html[data-widgets=ready]", state="attached", timeout=10_000)
            return page

        yield _show
        for heard in pages:
            assert heard.errors == []
            assert heard.foreign() == []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _not_run:
        terminalreporter.section("not run: no Chromium", red=True)
        terminalreporter.write_line("\n".join(_not_run))
        terminalreporter.write_line(HOW_TO_GET_CHROMIUM)
