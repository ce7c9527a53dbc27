"""The widgets of the course: pictures that a reader can touch, live or in a static page.

Each is an `anywidget` that carries its data in its state and computes in the browser. `surface`
gives the losses over which `OptimizerRace` runs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from underglass.widgets.attention_steps import AttentionSteps
    from underglass.widgets.attention_view import AttentionView
    from underglass.widgets.contrastive_map import ContrastiveMap
    from underglass.widgets.error_browser import ErrorBrowser
    from underglass.widgets.fine_tune_explorer import FineTuneExplorer
    from underglass.widgets.live_bert import LiveBERT
    from underglass.widgets.live_gpt import LiveGPT
    from underglass.widgets.lora_view import LoRAView
    from underglass.widgets.loss_explorer import LossExplorer
    from underglass.widgets.optimizer_race import OptimizerRace
    from underglass.widgets.position_view import PositionView
    from underglass.widgets.rate_finder import RateFinder
    from underglass.widgets.residual_view import ResidualView
    from underglass.widgets.surfaces import Surface, surface
    from underglass.widgets.training_curves import TrainingCurves

__all__ = [
    "AttentionSteps",
    "AttentionView",
    "ContrastiveMap",
    "ErrorBrowser",
    "FineTuneExplorer",
    "LiveBERT",
    "LiveGPT",
    "LoRAView",
    "LossExplorer",
    "OptimizerRace",
    "PositionView",
    "RateFinder",
    "ResidualView",
    "Surface",
    "TrainingCurves",
    "surface",
]

_MODULES = {
    "AttentionSteps": "attention_steps",
    "AttentionView": "attention_view",
    "ContrastiveMap": "contrastive_map",
    "ErrorBrowser": "error_browser",
    "FineTuneExplorer": "fine_tune_explorer",
    "LiveBERT": "live_bert",
    "LiveGPT": "live_gpt",
    "LoRAView": "lora_view",
    "LossExplorer": "loss_explorer",
    "OptimizerRace": "optimizer_race",
    "PositionView": "position_view",
    "RateFinder": "rate_finder",
    "ResidualView": "residual_view",
    "Surface": "surfaces",
    "TrainingCurves": "training_curves",
    "surface": "surfaces",
}


def __getattr__(name: str) -> Any:
    """Import a widget when it is first asked for, so that one widget does not load them all."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
