"""The frame that every widget stands in: one Python class, one script and one style sheet each.

A widget's JavaScript and CSS are files of their own beside its module. What all widgets share
(colours, number formats, saving a picture) is written once, in `shared.js` and `shared.css`, and
joined to each widget's own files here. `anywidget` carries both to the page, to Jupyter and Colab.
"""

import sys
from pathlib import Path
from typing import ClassVar

import anywidget

_HERE = Path(__file__).parent
# Between two files: white space to a browser, and where the book cuts, so that a page with several
# widgets holds what they share once.
SEAM = "\n\f\n"


class Widget(anywidget.AnyWidget):
    """An ipywidget whose browser half is `<files>.js` and `<files>.css` beside its Python module.

        class AttentionView(Widget):
            files = "attention_view"

    A longer script stands in several files, each named in `before` and joined in that order, with
    the style sheets of those that have one. A widget that is all in there needs none of its own.
    Subclasses describe themselves in `_summary`: notebooks store that text, so it must be the
    same on every machine.
    """

    files: ClassVar[str]
    before: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs) -> None:
        if "files" in cls.__dict__:  # not in the subclass that traitlets makes for each instance
            folder = Path(sys.modules[cls.__module__].__file__ or "").parent
            paths = [folder / name for name in (*cls.before, cls.files)]
            sheets = [path.with_suffix(".css") for path in paths]
            cls._esm = _joined("shared.js", *(path.with_suffix(".js") for path in paths))
            cls._css = _joined("shared.css", *(sheet for sheet in sheets if sheet.exists()))
        super().__init_subclass__(**kwargs)

    def _summary(self) -> str:
        """What the widget holds, in a few words: `6 layers, 12 heads, 11 tokens`."""
        return ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._summary()})"


def _joined(shared: str, *own: Path) -> str:
    return SEAM.join(path.read_text("utf-8") for path in (_HERE / shared, *own))
