"""Sentences with what each person gave them, which layers learn, and scores over amounts."""

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from underglass.plots.heads import ONE_WAY
from underglass.plots.style import COLORS, GRAY, MARKERS, STYLE, figure_of, panels

LETTERS = 76  # as many of a sentence fit in a line above its dots


def opinions(
    ratings: Mapping[str, Sequence[int]], *, x_label: str = "rating", ax: Axes | None = None
) -> Figure:
    """A row for each sentence: above it its text, on it a dot for each rating that people gave.

    A dot's area grows with the number of people; a line marks the mean.

    Raises:
        ValueError: if there are no sentences, or one has no ratings.
    """
    if not ratings or not all(len(given) for given in ratings.values()):
        raise ValueError(f"ratings of {len(ratings)} sentences: expected some of each")
    ax = panels(height=0.6 + 0.62 * len(ratings))[1][0] if ax is None else ax
    with plt.rc_context(STYLE):
        for row, (text, given) in enumerate(ratings.items()):
            counts = Counter(given)
            values, people = list(counts), list(counts.values())
            color = COLORS[0] if sum(given) > 0 else COLORS[1]
            sizes = [14 * number for number in people]
            ax.scatter(values, [row] * len(values), s=sizes, color=color, alpha=0.7, linewidths=0)
            mean = sum(given) / len(given)
            ax.plot([mean, mean], [row - 0.25, row + 0.25], color=GRAY, linewidth=2)
            shown = textwrap.shorten(text, LETTERS, placeholder=" ...").replace("$", r"\$")
            ax.text(-4.4, row - 0.42, shown, fontsize=8, va="center")
        ax.axvline(0, color=GRAY, linestyle="--", linewidth=1, zorder=0)
        ax.set(xlim=(-4.5, 4.5), ylim=(len(ratings) - 0.5, -0.75), xlabel=x_label)
        ax.set_xticks(range(-4, 5))
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
    return figure_of(ax)


def shares(
    table: Mapping[str, Mapping[str, float]],
    *,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """A table of shares from 0 to 1, each number written on a color as strong as it.

    Args:
        table: column -> row -> share; every column has the same rows, drawn from the top down.

    Raises:
        ValueError: if there are none, the columns' rows differ, or a share is not from 0 to 1.
    """
    columns = list(table)
    rows = list(table[columns[0]]) if columns else []
    for name, own in table.items():
        if list(own) != rows or not all(0 <= share <= 1 for share in own.values()):
            raise ValueError(
                f"table[{name!r}] is {dict(own)}: expected the rows {', '.join(rows)}, each with a "
                "share from 0 to 1"
            )
    if not rows:
        raise ValueError(f"table={dict(table)}: expected at least one column with one row")
    ax = panels(height=0.6 + 0.3 * len(rows))[1][0] if ax is None else ax
    with plt.rc_context(STYLE):
        grid = [[table[column][row] for column in columns] for row in rows]
        ax.imshow(grid, cmap=ONE_WAY, vmin=0, vmax=1, aspect="auto")
        for y, line in enumerate(grid):
            for x, share in enumerate(line):
                color: Any = "white" if share > 0.5 else GRAY
                ax.text(x, y, _written(share), ha="center", va="center", fontsize=8, color=color)
        ax.set_xticks(range(len(columns)), columns)
        ax.set_yticks(range(len(rows)), rows)
        ax.tick_params(length=0)
        ax.set(title=title)
    return figure_of(ax)


def learning_curves(
    scores: Mapping[str, Mapping[int, Sequence[float]]],
    *,
    x_label: str,
    y_label: str,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Scores over amounts, on a logarithmic axis: a dot for each seed, a line through the means.

    Args:
        scores: name -> amount -> the score of each seed.

    Raises:
        ValueError: if an amount is below 1, or has no scores.
    """
    for name, by_amount in scores.items():
        for amount, found in by_amount.items():
            if amount < 1 or not len(found):
                raise ValueError(
                    f"scores[{name!r}] has the amount {amount} with {len(found)} scores: expected "
                    "an amount of at least 1 with at least one"
                )
    ax = panels()[1][0] if ax is None else ax
    with plt.rc_context(STYLE):
        for number, (name, by_amount) in enumerate(scores.items()):
            style: dict[str, Any] = {"color": COLORS[number % 6], "marker": MARKERS[number % 6]}
            amounts = sorted(by_amount)
            means = [sum(by_amount[a]) / len(by_amount[a]) for a in amounts]
            ax.plot(amounts, means, label=name, markersize=4, **style)
            dots = [(a, score) for a in amounts for score in by_amount[a]]
            xs, ys = [a for a, _ in dots], [score for _, score in dots]
            ax.plot(xs, ys, linestyle="", markersize=2.5, alpha=0.5, **style)
        ax.set_xscale("log")
        ticks = sorted({amount for own in scores.values() for amount in own})
        ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks], fontsize=8)
        ax.minorticks_off()
        ax.set(xlabel=x_label, ylabel=y_label, title=title)
        if len(scores) > 1:
            ax.legend(fontsize=8)
    return figure_of(ax)


def _written(share: float) -> str:
    if share == 0:
        return "0"
    return f"{share:.2f}" if share >= 0.1 else f"{share:.3f}".rstrip("0")
