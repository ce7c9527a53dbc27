"""Paths down a valley, losses over the learning rate, and scores with the intervals around them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from underglass.plots.style import COLORS, GRAY, MARKERS, STYLE, figure_of, panels


def valley(
    hessian: Float[Tensor, "2 2"],
    paths: Mapping[str, Float[Tensor, "step 2"]],
    *,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """The lines of equal height of w·Hw / 2, and paths over them: a dot for each step.

    The picture is as large as the first points of the paths need, so that a path that runs away
    leaves it.
    """
    ax = panels(height=3.4)[1][0] if ax is None else ax
    reach = 1.15 * max(float(path[0].abs().max()) for path in paths.values())
    line = np.linspace(-reach, reach, 121)
    x, y = np.meshgrid(line, line)
    h = hessian.detach().cpu().double().numpy()
    height = (h[0, 0] * x**2 + (h[0, 1] + h[1, 0]) * x * y + h[1, 1] * y**2) / 2
    with plt.rc_context(STYLE):
        levels = height.max() * np.linspace(0.02, 0.9, 9) ** 2
        ax.contour(x, y, height, levels=levels, colors=GRAY, linewidths=0.6, alpha=0.6)
        for number, (name, path) in enumerate(paths.items()):
            style: dict[str, Any] = {"color": COLORS[number % 6], "marker": MARKERS[number % 6]}
            xs, ys = path.detach().cpu().double().numpy().T
            ax.plot(xs, ys, label=name, markersize=3.5, linewidth=1, **style)
        ax.set(xlabel="$w_1$", ylabel="$w_2$", title=title)
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        if len(paths) > 1:
            ax.legend(fontsize=8)
    return figure_of(ax)


def rates(
    losses: Mapping[str, Mapping[float, Sequence[float]]],
    *,
    y_label: str,
    highest: float,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Losses over the learning rate: a dot for each seed, a line through their middle ones.

    Args:
        losses: name -> rate -> the loss of each seed; not finite where the run diverged.
        highest: the largest loss drawn; what lies above, or is not finite, is a cross at the top.

    Raises:
        ValueError: if a rate is not above 0, or has no losses.
    """
    for name, by_rate in losses.items():
        for rate, found in by_rate.items():
            if not rate > 0 or not len(found):
                raise ValueError(
                    f"losses[{name!r}] has the rate {rate} with {len(found)} losses: expected a "
                    "rate above 0 with at least one"
                )
    ax = panels()[1][0] if ax is None else ax
    with plt.rc_context(STYLE):
        for number, (name, by_rate) in enumerate(losses.items()):
            color, marker = COLORS[number % 6], MARKERS[number % 6]
            found = sorted((rate, list(seeds)) for rate, seeds in by_rate.items())
            kept = [(rate, y) for rate, seeds in found for y in seeds if y <= highest]
            lost = [(rate, highest) for rate, seeds in found for y in seeds if not y <= highest]
            for points, sign in ((kept, marker), (lost, "x")):
                xs, ys = [x for x, _ in points], [y for _, y in points]
                ax.plot(xs, ys, sign, color=color, markersize=4, alpha=0.6)
            middle = [(rate, _middle(seeds)) for rate, seeds in found]
            line = [(rate, y) for rate, y in middle if y <= highest]
            ax.plot([x for x, _ in line], [y for _, y in line], color=color, marker="", label=name)
        ax.set_xscale("log")
        ax.set(xlabel="learning rate", ylabel=y_label, title=title)
        if len(losses) > 1:
            ax.legend(fontsize=8, loc="upper center")  # a valley is empty in the middle, above
    return figure_of(ax)


def intervals(
    scores: Mapping[str, tuple[float, float, float]],
    *,
    x_label: str,
    log: bool = False,
    zero: bool = False,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """One row for each name: its score as a dot, and a line from the low end to the high one.

    Args:
        scores: name -> (low, score, high), as `metrics.bootstrap_interval` gives them.
        log: whether the axis is logarithmic.
        zero: whether to mark 0, where a difference is none.

    Raises:
        ValueError: if three numbers are not in order, or do not fit a logarithmic axis.
    """
    for name, (low, score, high) in scores.items():
        if not low <= score <= high or (log and low <= 0):
            above = ", all above 0" if log else ""
            raise ValueError(
                f"scores[{name!r}] is {(low, score, high)}: expected low <= score <= high{above}"
            )
    ax = panels(height=0.7 + 0.27 * len(scores))[1][0] if ax is None else ax
    with plt.rc_context(STYLE):
        for row, (low, score, high) in enumerate(scores.values()):
            ax.plot([low, high], [row, row], color=COLORS[0], linewidth=2)
            ax.plot(score, row, "o", color=COLORS[0], markersize=5)
        if zero:
            ax.axvline(0, color=GRAY, linestyle="--", linewidth=1)
        if log:
            ax.set_xscale("log")
        ax.set_yticks(range(len(scores)), list(scores))
        ax.invert_yaxis()  # the first name on top
        ax.set(xlabel=x_label, title=title)
    return figure_of(ax)


def _middle(seeds: Sequence[float]) -> float:
    """The median, where a run that diverged counts as the worst of all."""
    found = sorted(y if math.isfinite(y) else math.inf for y in seeds)
    half = len(found) // 2
    return found[half] if len(found) % 2 else (found[half - 1] + found[half]) / 2
