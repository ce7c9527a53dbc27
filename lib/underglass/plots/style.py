"""What all figures share: colors, line styles, and the panels that they are drawn in.

The colors are those of Okabe and Ito (2008), which color-blind readers can tell apart.
"""

from typing import Any

import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vP"  # a second way to tell lines apart
WIDTH = 5.6  # inches: letters of 10 points can still be read where a telephone shrinks it
GRAY = "#767676"  # at least 4:1 against a white page and against a dark one


STYLE: dict[Any, Any] = {
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": GRAY,
    "axes.labelcolor": GRAY,
    "axes.titlecolor": GRAY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLORS),
    "axes.titlesize": 11,
    "text.color": GRAY,
    "xtick.color": GRAY,
    "ytick.color": GRAY,
    "legend.frameon": False,
    "font.size": 10,
}


def panels(count: int = 1, *, height: float = 2.8) -> tuple[Figure, list[Axes]]:
    """A figure of the page's width with `count` panels side by side, `height` inches tall.

    Raises:
        ValueError: if `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"count={count}: expected at least one panel")
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            1, count, figsize=(WIDTH, height), dpi=200, layout="constrained", squeeze=False
        )
    plt.close(figure)  # so that a notebook shows it once: where a cell ends with it
    return figure, list(axes[0])


def figure_of(ax: Axes) -> Figure:
    figure = ax.get_figure()
    assert isinstance(figure, Figure)
    return figure
