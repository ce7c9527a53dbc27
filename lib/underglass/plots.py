"""The figures of the book: curves, and a number for each head of a model.

Each function returns a matplotlib figure, or draws into `ax`, a panel of `panels(...)`:

    figure, (left, right) = plots.panels(2)
    plots.curves(lengths, {"seconds": times}, x_label="tokens", y_label="seconds", ax=left)

Backgrounds are transparent and lines mid-gray, so that a figure stands on a white page and on a
dark one. The colors are those of Okabe and Ito (2008), which color-blind readers can tell apart.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from cycler import cycler
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from torch import Tensor

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vP"  # a second way to tell lines apart
WIDTH = 5.6  # inches: letters of 10 points can still be read where a telephone shrinks it
GRAY = "#767676"  # at least 4:1 against a white page and against a dark one


def _from_clear(above: str, below: str | None = None) -> LinearSegmentedColormap:
    """Clear where a number is 0, so that the page shows; `above` where it is 1, `below` at -1."""
    clear, full = (*to_rgb(above), 0.0), (*to_rgb(above), 1.0)
    points = [(0.0, clear), (1.0, full)]
    if below is not None:
        clear_below, full_below = (*to_rgb(below), 0.0), (*to_rgb(below), 1.0)
        points = [(0.0, full_below), (0.5, clear_below), (0.5, clear), (1.0, full)]
    return LinearSegmentedColormap.from_list("from clear", points)


ONE_WAY, TWO_WAYS = _from_clear(COLORS[0]), _from_clear(COLORS[0], below=COLORS[1])

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
        if "y" in log:
            ax.set_yscale("log")
        ax.set(xlabel=x_label, ylabel=y_label, title=title)
        if len(lines) > 1:
            ax.legend()
    return _figure_of(ax)


def heads(
    scores: Float[Tensor, "layer head"],
    *,
    label: str = "",
    lowest: int = 0,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """One number for each head of a model, from `lowest` to 1: layers downward, heads to the right.

    Where `lowest` is -1, two colors meet at 0. `label` names the number beside a bar of its colors;
    without it there is no bar, as where panels share one.

    Raises:
        ValueError: if `lowest` is neither 0 nor -1.
    """
    if lowest not in (0, -1):
        raise ValueError(f"lowest={lowest}: expected 0, or -1 for numbers of both signs")
    ax = panels(height=2.4)[1][0] if ax is None else ax
    with plt.rc_context(STYLE):
        colors = TWO_WAYS if lowest < 0 else ONE_WAY
        image = ax.imshow(scores.detach().cpu().numpy(), cmap=colors, vmin=lowest, vmax=1)
        layers, width = scores.shape
        every = 1 if len(_figure_of(ax).axes) == 1 else 2  # beside others, labels need room
        ax.set_xticks(range(0, width, every))
        ax.set_yticks(range(0, layers, every))
        ax.set(xlabel="head", ylabel="layer", title=title)
        if label:
            _colorbar(image, ax, label)
    return _figure_of(ax)


def two_halves(
    chosen_on: Float[Tensor, " head"],
    judged_on: Float[Tensor, " head"],
    *,
    shuffled: tuple[Float[Tensor, " draw"], Float[Tensor, " draw"]],
    baselines: Mapping[str, float],
    ax: Axes | None = None,
) -> Figure:
    """Each head as a dot: accuracy on the half it is chosen on, and on the half it is judged on.

    Args:
        shuffled: the same two accuracies of heads chosen on shuffled answers.
        baselines: name -> accuracy on the judged half, drawn as horizontal lines.
    """
    ax = panels(height=3.4)[1][0] if ax is None else ax
    with plt.rc_context(STYLE):
        x, y = (part.cpu().numpy() for part in shuffled)
        ax.scatter(
            x, y, s=14, color=GRAY, alpha=0.5, marker="x", label="best head, answers shuffled"
        )
        x, y = chosen_on.cpu().numpy(), judged_on.cpu().numpy()
        ax.scatter(x, y, s=22, color=COLORS[0], label="a head of MiniLM")
        best = int(x.argmax())
        ring: dict[str, Any] = {"facecolors": "none", "edgecolors": COLORS[1], "linewidths": 1.8}
        ax.scatter(x[best], y[best], s=130, **ring, label="the chosen head")
        for number, (name, level) in enumerate(baselines.items()):
            ax.axhline(level, color=COLORS[2 + number], linestyle="--", linewidth=1)
            ax.text(0.01, level + 0.01, name, color=COLORS[2 + number], transform=_across(ax))
        ax.set(xlabel="accuracy where it was chosen", ylabel="accuracy where it is judged")
        ax.set(xlim=(0, 1), ylim=(0, 1))
        ax.legend(loc="lower right", fontsize=9)
    return _figure_of(ax)


def _across(ax: Axes):
    """x as a share of the panel's width, y as data."""
    return ax.get_yaxis_transform()


def _colorbar(image, ax: Axes, label: str) -> None:
    bar = _figure_of(ax).colorbar(image, ax=ax, label=label, fraction=0.046, pad=0.03)
    bar.outline.set_visible(False)


def _figure_of(ax: Axes) -> Figure:
    figure = ax.get_figure()
    assert isinstance(figure, Figure)
    return figure
