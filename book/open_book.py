"""Show the built book in the reader's browser, or, where there is no desktop, say where it is."""

import os
import sys
import webbrowser
from pathlib import Path

INDEX = Path(__file__).resolve().parents[1] / "_build" / "html" / "index.html"


def has_desktop() -> bool:
    """Whether a window can be opened; continuous integration counts as no desktop."""
    if os.environ.get("CI"):
        return False
    return sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )


def main() -> None:
    if not INDEX.exists():
        sys.exit(f"[book] {INDEX} is not there: build the book first (make book)")
    print(f"[book] done: open {INDEX.as_uri()}")
    if has_desktop():
        webbrowser.open(INDEX.as_uri())


if __name__ == "__main__":
    main()
