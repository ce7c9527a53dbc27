"""Keeps every page self-contained: no request to another host, and no script that throws.

Jupyter Book brings thebe (code cells run on a server of mybinder.org), whose address and constant
it writes twice into each page, and MyST a setting for a MathJax that we do not use.
"""

import re
from html.parser import HTMLParser
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

# Attributes that a browser fetches by itself; a plain <a href> waits for a click.
FETCHED = {
    *((tag, "src") for tag in ("audio", "embed", "iframe", "img", "input", "script", "source")),
    *((tag, "src") for tag in ("track", "video")),
    *(("img", "srcset"), ("source", "srcset"), ("link", "href"), ("link", "imagesrcset")),
    *(("object", "data"), ("video", "poster"), ("image", "href"), ("image", "xlink:href")),
    *(("use", "href"), ("use", "xlink:href")),
}
HOST = re.compile(r"\s*((?:[a-z][a-z0-9+.-]*:)?//\S+)", re.IGNORECASE)
CSS_URL = re.compile(
    r"""(?:url\(\s*|@import\s+)["']?\s*((?:[a-z][a-z0-9+.-]*:)?//[^"')\s]+)""", re.IGNORECASE
)


def foreign_in_css(css: str) -> list[str]:
    """The addresses on other hosts that this style sheet fetches."""
    return CSS_URL.findall(re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL))


class _Fetched(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.in_style = tag == "style"
        for name, value in attrs:
            if (tag, name) in FETCHED:
                addresses = (value or "").split(",") if "srcset" in name else [value or ""]
                self.found += [match[1] for a in addresses if (match := HOST.match(a))]
            elif name == "style":
                self.found += foreign_in_css(value or "")

    def handle_endtag(self, tag: str) -> None:
        self.in_style = False

    def handle_data(self, data: str) -> None:
        if self.in_style:
            self.found += foreign_in_css(data)


def foreign_in_html(text: str) -> list[str]:
    """The addresses on other hosts that a browser fetches when it opens this page."""
    parser = _Fetched()
    parser.feed(text)
    parser.close()
    return parser.found


# Search shows a few words of each page it finds, which it fetches; a page that was opened from a
# folder may fetch nothing, and would log an error for each.
SEARCH_IN_A_FOLDER = (
    'if(location.protocol==="file:")DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY=false;'
)


def silence_thebe(app: Sphinx) -> None:
    """Takes away the listeners that write thebe's scripts into the pages."""
    for listeners in list(app.events.listeners.values()):
        for listener in list(listeners):
            if listener.handler.__module__ == "sphinx_thebe":
                app.disconnect(listener.id)


def clean(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Drops thebe's style and whatever is loaded twice; warns of a fetch from another host."""
    context["css_files"] = [c for c in context["css_files"] if "thebe" not in str(c.filename)]
    unique: dict[Any, Any] = {}
    for script in context["script_files"]:
        unique.setdefault((str(script.filename or ""), script.attributes.get("body")), script)
    context["script_files"] = list(unique.values())
    for address in foreign_in_html(context.get("body") or ""):
        message = "the page asks another host for %s: keep a copy beside the page, or link to it"
        logger.warning(message, address, location=page, type="book", subtype="foreign")


def describe_pictures(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Warns of a picture that a reader who cannot see it would learn nothing from."""
    for image in doctree.findall(nodes.image):
        if not (image.get("alt") or "").strip():
            message = (
                "a picture has no alt text: write it after ! in Markdown, or for a code cell into "
                'its metadata, {"mystnb": {"image": {"alt": "..."}}}'
            )
            place = image if image.line else image.parent  # an image in a line has no line itself
            logger.warning(message, location=place, type="book", subtype="alt")


def setup(app: Sphinx) -> dict[str, bool]:
    silence_thebe(app)
    app.add_js_file(None, body=SEARCH_IN_A_FOLDER, priority=210)  # after DOCUMENTATION_OPTIONS
    app.connect("html-page-context", clean, priority=900)  # after all who add to the page
    app.connect("doctree-resolved", describe_pictures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
