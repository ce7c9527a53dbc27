"""The widgets of the course: pictures that a reader can touch, live or in a static page.

Each is an `anywidget` that carries its data in its state and computes in the browser.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from underglass.widgets.attention_steps import AttentionSteps
    from underglass.widgets.attention_view import AttentionView
    from underglass.widgets.position_view import PositionView
    from underglass.widgets.training_curves import TrainingCurves

__all__ = ["AttentionSteps", "AttentionView", "PositionView", "TrainingCurves"]

_MODULES = {
    "AttentionSteps": "attention_steps",
    "AttentionView": "attention_view",
    "PositionView": "position_view",
    "TrainingCurves": "training_curves",
}


def __getattr__(name: str) -> type:
    """Import a widget when it is first asked for, so that one widget does not load them all."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
