"""The figures of the book: curves and bars, a number for each head of a model, how losses and
optimizers fare, and what models are built of.

Each function returns a matplotlib figure, or draws into `ax`, a panel of `panels(...)`:

    figure, (left, right) = plots.panels(2)
    plots.curves(lengths, {"seconds": times}, x_label="tokens", y_label="seconds", ax=left)

Backgrounds are transparent and lines mid-gray, so that a figure stands on a white page and on a
dark one.
"""

from underglass.plots.architectures import architecture, block
from underglass.plots.fine_tuning import learning_curves, opinions, shares
from underglass.plots.generation import candidates, landmarks, ranks
from underglass.plots.heads import heads, two_halves
from underglass.plots.lines import curves
from underglass.plots.losses import bars, reliability, seen
from underglass.plots.neurons import excited, reach
from underglass.plots.optimizers import intervals, rates, valley
from underglass.plots.pretraining import packing, power_law, targets
from underglass.plots.style import panels

__all__ = [
    "architecture",
    "bars",
    "block",
    "candidates",
    "curves",
    "excited",
    "heads",
    "intervals",
    "landmarks",
    "learning_curves",
    "opinions",
    "packing",
    "panels",
    "power_law",
    "ranks",
    "rates",
    "reach",
    "reliability",
    "seen",
    "shares",
    "targets",
    "two_halves",
    "valley",
]
