"""The weights of the models that run in a page: script files beside it, loaded when asked for.

Jupyter Book puts every script of a `_static` folder into every page. So these are written straight
into the site, by the page that shows a live widget, and no page names them: the widget's engine
does, once its reader wants the model. What tells it where they are goes into the widget's state:

    "_live_model": "speeches_gpt"                                 from Python: which model it runs
    "_live_files": {"folder": "../_static/live/speeches_gpt/",    added here
                    "parts": 13, "version": "0a1b2c3d"}
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = "_static/live"


def place(state: dict[str, Any], site: Path, path_to: Callable[[str], str]) -> None:
    """Writes the weights that the widgets of a page need into the site; tells the widgets where.

    Args:
        state: the page's models by id, as ipywidgets keeps them.
        path_to: from a place in the site to its address as seen from the page.
    """
    for entry in state.values():
        if name := entry["state"].get("_live_model"):
            entry["state"]["_live_files"] = _write(site, name, path_to)


def _write(site: Path, name: str, path_to: Callable[[str], str]) -> dict[str, Any]:
    from underglass.widgets import live_packing  # imports torch: only for pages that need it

    content = live_packing.packed(name)
    files = live_packing.scripts(name, content)
    folder = site / FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        _write_whole(folder / file, text)
    return {
        "folder": path_to(f"{FOLDER}/{name}/"),
        "parts": len(files),
        "version": live_packing.version(content),
    }


def _write_whole(path: Path, text: str) -> None:
    """Nothing, where it is there already; pages are written side by side, and may meet here."""
    if path.exists() and path.read_text("utf-8") == text:
        return
    temporary = path.with_name(f".{path.name}-{id(text)}")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)
