"""Hands the book's own styles and scripts to the pages, and notices when these tools change.

The files lie beside this one. Jupyter Book would load every script of a `_static` folder on every
page, so there is none: each part of the book names the files that it needs.
"""

import hashlib
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

BOOK = Path(__file__).parent


def serve(app: Sphinx, name: str) -> None:
    """Copies a file of this folder to the site's `_static`; a page still has to ask for it."""

    def add(_: Sphinx, config: Config) -> None:
        config["html_static_path"] = [*config["html_static_path"], str(BOOK / name)]

    app.connect("config-inited", add)


def tools_hash() -> str:
    """A fingerprint of everything in this folder that shapes a page."""
    digest = hashlib.sha256()
    for path in sorted(p for p in BOOK.iterdir() if p.suffix in {".py", ".css", ".js"}):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def setup(app: Sphinx) -> dict[str, bool]:
    # A value of the "env" kind: when it changes, Sphinx reads and writes every page again.
    app.add_config_value("book_tools", tools_hash(), "env", (str,))
    serve(app, "book.css")
    app.add_css_file("book.css", priority=900)  # after the theme's, so that ours wins
    serve(app, "theme.js")
    app.add_js_file("theme.js", priority=100)  # not deferred: before the first paint
    return {"parallel_read_safe": True, "parallel_write_safe": True}
