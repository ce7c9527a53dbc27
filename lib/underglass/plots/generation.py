"""What may come next: the likeliest tokens as bars, all of them by rank, and where a rule cuts."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from underglass.plots.losses import ROW
from underglass.plots.style import COLORS, GRAY, MARKERS, STYLE, figure_of, panels


def candidates(
    probabilities: Mapping[str, float],
    kept: Mapping[str, float] | None = None,
    *,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """A bar for each token, the first on top; what a rule leaves of them is filled.

    Args:
        probabilities: token, as it is shown -> what the model gives it.
        kept: token -> what it has after cutting, 0 where it was cut off; the filled bars. Unless
            given, nothing is cut, and all bars are filled.

    Raises:
        ValueError: if there is no token, or `kept` has other tokens.
    """
    kept = probabilities if kept is None else kept
    if not probabilities or [*kept] != [*probabilities]:
        raise ValueError(
            f"kept has the tokens {[*kept]}, probabilities {[*probabilities]}: expected the same, "
            "and at least one"
        )
    ax = panels(height=0.8 + ROW * len(probabilities))[1][0] if ax is None else ax
    rows = range(len(probabilities))
    with plt.rc_context(STYLE):
        ax.barh(rows, [*kept.values()], height=0.7, color=COLORS[0], label="after the cut")
        outline: dict[str, Any] = {"fill": False, "edgecolor": GRAY, "linewidth": 1}
        ax.barh(rows, [*probabilities.values()], height=0.7, label="the model's", **outline)
        # A dollar sign would begin a formula.
        ax.set_yticks(rows, [name.replace("$", r"\$") for name in probabilities], fontsize=8)
        ax.invert_yaxis()
        ax.set(xlabel="probability", title=title)
        if kept is not probabilities:
            ax.legend(fontsize=8)
    return figure_of(ax)


def ranks(
    places: Mapping[str, Float[Tensor, " vocab_size"]],
    cuts: Mapping[str, Mapping[str, int]],
    *,
    ax: Axes | None = None,
) -> Figure:
    """Probabilities in falling order over their rank, both axes logarithmic, and where rules cut.

    Args:
        places: name of a place -> the probability of each token there, in any order.
        cuts: rule -> name of a place -> how many tokens it keeps there: a sign at the last one.

    Raises:
        ValueError: if a rule keeps no token at a place, or more than there are.
    """
    for rule, kept in cuts.items():
        for name, count in kept.items():
            if name not in places or not 1 <= count <= len(places[name]):
                raise ValueError(
                    f"cuts[{rule!r}] keeps {count} tokens at {name!r}: expected at least 1, and "
                    f"no more than a place of {[*places]} has"
                )
    ax = panels(height=3.4)[1][0] if ax is None else ax
    with plt.rc_context(STYLE):
        ordered = {name: p.sort(descending=True).values.tolist() for name, p in places.items()}
        for number, (name, line) in enumerate(ordered.items()):
            ax.plot(range(1, len(line) + 1), line, color=COLORS[number % 6], label=name)
        for number, (rule, kept) in enumerate(cuts.items()):
            points = [(count, ordered[name][count - 1]) for name, count in kept.items()]
            style: dict[str, Any] = {"color": GRAY, "marker": MARKERS[number % 6]}
            ax.plot(*zip(*points, strict=True), linestyle="", markersize=6, label=rule, **style)
        ax.set(xscale="log", yscale="log", xlabel="rank of the token", ylabel="probability")
        ax.set_ylim(bottom=1e-7)
        ax.legend(fontsize=8)
    return figure_of(ax)


def landmarks(
    points: Mapping[str, tuple[float, float]],
    *,
    x_label: str,
    y_label: str,
    goal: str,
    log: bool = False,
    ax: Axes | None = None,
) -> Figure:
    """A dot with its name for each method, and dashed lines through the one that is the goal.

    Args:
        log: whether the upright axis is logarithmic.

    Raises:
        ValueError: if `goal` is none of the points.
    """
    if goal not in points:
        raise ValueError(f"goal={goal!r}: expected one of {[*points]}")
    ax = panels(height=3.6)[1][0] if ax is None else ax
    with plt.rc_context(STYLE):
        for number, (name, (x, y)) in enumerate(sorted(points.items(), key=lambda p: p[1])):
            ax.plot(x, y, "o", color=COLORS[1] if name == goal else COLORS[0], markersize=6)
            # Neighbours' names to the right and to the left in turn, and away from the goal's line.
            side = "right" if number % 2 else "left"
            aside = (-5 if number % 2 else 5, 4 if y > points[goal][1] else -11)
            ax.annotate(name, (x, y), aside, textcoords="offset points", ha=side, fontsize=8)
        if log:
            ax.set_yscale("log")
        ax.axvline(points[goal][0], color=COLORS[1], linestyle="--", linewidth=0.8, zorder=0)
        ax.axhline(points[goal][1], color=COLORS[1], linestyle="--", linewidth=0.8, zorder=0)
        ax.set(xlabel=x_label, ylabel=y_label)
        ax.margins(x=0.15, y=0.1)
    return figure_of(ax)
