"""A number, or two, for each head of a model."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from underglass.plots.style import COLORS, GRAY, STYLE, figure_of, panels


def _from_clear(above: str, below: str | None = None) -> LinearSegmentedColormap:
    """Clear where a number is 0, so that the page shows; `above` where it is 1, `below` at -1."""
    clear, full = (*to_rgb(above), 0.0), (*to_rgb(above), 1.0)
    points = [(0.0, clear), (1.0, full)]
    if below is not None:
        clear_below, full_below = (*to_rgb(below), 0.0), (*to_rgb(below), 1.0)
        points = [(0.0, full_below), (0.5, clear_below), (0.5, clear), (1.0, full)]
    return LinearSegmentedColormap.from_list("from clear", points)


ONE_WAY, TWO_WAYS = _from_clear(COLORS[0]), _from_clear(COLORS[0], below=COLORS[1])


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
        every = 1 if len(figure_of(ax).axes) == 1 else 2  # beside others, labels need room
        ax.set_xticks(range(0, width, every))
        ax.set_yticks(range(0, layers, every))
        ax.set(xlabel="head", ylabel="layer", title=title)
        if label:
            _colorbar(image, ax, label)
    return figure_of(ax)


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
    return figure_of(ax)


def _across(ax: Axes):
    """x as a share of the panel's width, y as data."""
    return ax.get_yaxis_transform()


def _colorbar(image, ax: Axes, label: str) -> None:
    bar = figure_of(ax).colorbar(image, ax=ax, label=label, fraction=0.046, pad=0.03)
    bar.outline.set_visible(False)
