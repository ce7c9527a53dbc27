"""Turns the page's issue button into a form that already knows the page and the versions.

GitHub fills the fields of `.github/ISSUE_TEMPLATE/page.yml` from the address by their ids: `page`
and `versions` here in the build, `runtime` (the browser) when the button is pressed.
"""

import platform
import subprocess
from functools import cache
from typing import Any
from urllib.parse import urlencode

from assets import serve
from freshness import installed
from sphinx.application import Sphinx

BUTTON = "source-issues-button"


@cache
def commit(root: str) -> str:
    """The commit that the page was made from, `unknown` outside a checkout."""
    command = ["git", "-C", root, "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def versions(root: str) -> str:
    """What the page was made with."""
    packages = [f"{name} {installed(name)}" for name in ("underglass", "torch", "anywidget")]
    return ", ".join([*packages, f"Python {platform.python_version()}", f"commit {commit(root)}"])


def issue_url(repository: str, page: str, root: str) -> str:
    """The address of the issue form, with the fields that the build knows filled in."""
    fields = {"template": "page.yml", "page": f"{page}.html", "versions": versions(root)}
    return f"{repository.rstrip('/')}/issues/new?{urlencode(fields)}"


def fill_button(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    repository = app.config["html_theme_options"].get("repository_url", "")
    buttons = list(context.get("header_buttons", []))
    while buttons:
        button = buttons.pop()
        buttons += button.get("buttons", [])
        if button.get("label") == BUTTON:
            button["url"] = issue_url(repository, page, str(app.srcdir))


def setup(app: Sphinx) -> dict[str, bool]:
    serve(app, "issue_button.js")
    app.add_js_file("issue_button.js", defer="defer")
    app.connect("html-page-context", fill_button, priority=800)  # after the theme has added it
    return {"parallel_read_safe": True, "parallel_write_safe": True}
