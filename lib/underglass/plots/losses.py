"""Shares and losses as bars, reliability diagrams, and what a prediction depends on."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from jaxtyping import Float, Integer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from underglass.plots.heads import ONE_WAY
from underglass.plots.style import COLORS, GRAY, MARKERS, STYLE, figure_of, panels

ROW = 0.24  # inches: a line of text and the bar beside it


def bars(
    names: Sequence[str],
    series: Mapping[str, Sequence[float | int]],
    *,
    x_label: str,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """For each name, top to bottom, a bar of each series: names may be long, and telephones narrow.

    Raises:
        ValueError: if there are no names or series, or a series is not as long as the names.
    """
    if not names or not series:
        raise ValueError(f"names={list(names)}, series={dict(series)}: expected some of each")
    for name, numbers in series.items():
        if len(numbers) != len(names):
            raise ValueError(f"series[{name!r}] has {len(numbers)} numbers: expected {len(names)}")
    height = 0.8 + ROW * len(names) * max(1.0, 0.6 * len(series))
    ax = panels(height=height)[1][0] if ax is None else ax
    thick = 0.8 / len(series)
    with plt.rc_context(STYLE):
        for number, (name, numbers) in enumerate(series.items()):
            middle = (number - (len(series) - 1) / 2) * thick
            rows = [row + middle for row in range(len(names))]
            ax.barh(rows, numbers, height=0.9 * thick, color=COLORS[number % 6], label=name)
        # A dollar sign would begin a formula.
        ax.set_yticks(range(len(names)), [name.replace("$", r"\$") for name in names])
        ax.invert_yaxis()  # the first name on top
        ax.set(xlabel=x_label, title=title)
        if len(series) > 1:
            ax.legend(fontsize=8)
    return figure_of(ax)


def reliability(
    bins: Mapping[
        str, tuple[Float[Tensor, " bin"], Float[Tensor, " bin"], Integer[Tensor, " bin"]]
    ],
    *,
    x_label: str = "confidence",
    y_label: str = "share that is right",
    ax: Axes | None = None,
) -> Figure:
    """The share that is right over the confidence: on the dashed line, a model means what it says.

    Args:
        bins: name -> (confidence, accuracy, number of examples) of each bin, as
            `metrics.reliability` gives them. A dot's area grows with the number; bins with fewer
            than 1 in 100 of the examples are left out, for their dots are mostly chance.

    Raises:
        ValueError: if nothing is given, or a model has no examples.
    """
    if not bins or any(not int(count.sum()) for *_, count in bins.values()):
        raise ValueError(f"bins of {list(bins)}: expected at least one model, each with examples")
    ax = panels(height=3.4)[1][0] if ax is None else ax
    with plt.rc_context(STYLE):
        ax.plot([0, 1], [0, 1], color=GRAY, linestyle="--", linewidth=1)
        lowest = 1.0
        for number, (name, (sure, right, count)) in enumerate(bins.items()):
            shares = count.double() / count.sum()
            kept = shares >= 0.01
            x, y, s = sure[kept].tolist(), right[kept].tolist(), (500 * shares[kept]).tolist()
            lowest = min(lowest, *x, *y)
            style: dict[str, Any] = {"color": COLORS[number % 6], "label": name}
            ax.plot(x, y, linewidth=1, marker=MARKERS[number % 6], markersize=4, **style)
            ax.scatter(x, y, s=s, color=COLORS[number % 6], alpha=0.25, linewidths=0)
        ax.set(xlabel=x_label, ylabel=y_label)
        ax.set(xlim=(lowest - 0.05, 1.02), ylim=(lowest - 0.05, 1.02))
        ax.legend(loc="upper left", fontsize=8)
    return figure_of(ax)


def seen(
    strength: Float[Tensor, "q k"],
    tokens: Sequence[str],
    *,
    title: str = "",
    y_label: str = "predicted token",
    ax: Axes | None = None,
) -> Figure:
    """Which input tokens (columns) the loss at each place (rows) depends on.

    Args:
        strength: how much, any unit, none below 0. A row is drawn as shares of its largest number,
            but whatever is above 0 at least so strongly that it can be told from 0.

    Raises:
        ValueError: if there is not a column for each token, or a number is below 0.
    """
    if strength.shape[1] != len(tokens) or (strength < 0).any():
        raise ValueError(
            f"strength has shape {tuple(strength.shape)} and a smallest number "
            f"{strength.min().item():g}, for {len(tokens)} tokens: expected a column for each "
            "token, and no number below 0"
        )
    ax = panels(height=3.0)[1][0] if ax is None else ax
    shares = strength / strength.amax(dim=1, keepdim=True).clamp(min=1e-30)
    drawn = (0.25 + 0.75 * shares) * (strength > 0)
    with plt.rc_context(STYLE):
        ax.imshow(drawn.detach().cpu().numpy(), cmap=ONE_WAY, vmin=0, vmax=1)
        names = [token.replace("$", r"\$") for token in tokens]
        ax.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
        ax.set_yticks(range(len(strength)), names[-len(strength) :], fontsize=8)
        ax.set(xlabel="input token", ylabel=y_label, title=title)
    return figure_of(ax)
