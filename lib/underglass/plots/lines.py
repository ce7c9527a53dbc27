"""Curves: numbers over a number."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from underglass.plots.style import COLORS, MARKERS, STYLE, figure_of, panels


def curves(
    x: Sequence[float | int],
    lines: Mapping[str, Sequence[float | int]],
    *,
    x_label: str,
    y_label: str,
    log: str = "",
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """One line for each name in `lines`, over x.

    Args:
        log: axes with a logarithmic scale: "", "x", "y" or "xy"; powers of two are labeled on x.
            On a linear axis whole numbers are labeled at whole numbers.

    Raises:
        ValueError: if a line is not as long as x, or `log` names no axis.
    """
    if log not in ("", "x", "y", "xy"):
        raise ValueError(f"log={log!r}: expected '', 'x', 'y' or 'xy'")
    for name, y in lines.items():
        if len(y) != len(x):
            raise ValueError(f"lines[{name!r}] has {len(y)} points: expected {len(x)}, as x")
    ax = panels()[1][0] if ax is None else ax
    with plt.rc_context(STYLE):
        for number, (name, y) in enumerate(lines.items()):
            style: dict[str, Any] = {"color": COLORS[number % 6], "marker": MARKERS[number % 6]}
            ax.plot(x, y, label=name, markersize=4 if len(x) < 40 else 0, **style)
        if "x" in log:
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        elif all(isinstance(value, int) for value in x):
            locator = ax.xaxis.get_major_locator()
            if isinstance(locator, MaxNLocator):  # not where the caller has set the ticks
                locator.set_params(integer=True)
        if "y" in log:
            ax.set_yscale("log")
        ax.set(xlabel=x_label, ylabel=y_label, title=title)
        if len(lines) > 1:
            ax.legend()
    return figure_of(ax)
