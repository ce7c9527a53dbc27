"""The figures of the book: curves, a number for each head of a model, how optimizers fare.

Each function returns a matplotlib figure, or draws into `ax`, a panel of `panels(...)`:

    figure, (left, right) = plots.panels(2)
    plots.curves(lengths, {"seconds": times}, x_label="tokens", y_label="seconds", ax=left)

Backgrounds are transparent and lines mid-gray, so that a figure stands on a white page and on a
dark one.
"""

from underglass.plots.heads import heads, two_halves
from underglass.plots.lines import curves
from underglass.plots.optimizers import intervals, rates, valley
from underglass.plots.style import panels

__all__ = ["curves", "heads", "intervals", "panels", "rates", "two_halves", "valley"]
