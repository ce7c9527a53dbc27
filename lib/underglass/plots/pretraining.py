"""How texts become rows, which tokens are guessed, and how the loss falls with a model's size.

Chapter: chapters/08_pretraining.ipynb
"""

from collections.abc import Collection, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from underglass.plots.style import COLORS, GRAY, STYLE, figure_of, panels


def packing(
    lengths: Sequence[int],
    seq: int,
    *,
    packed: bool,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Texts as cells of a color each, in rows of `seq`: one a row and padded, or one after another.

    The last cell of a text is its end, and gray; padding is an empty cell. Packed, the row that is
    not full is left out; padded, what is longer than a row is cut off.

    Args:
        lengths: tokens of each text, its end included.

    Raises:
        ValueError: if there is no text, or a number is below 1.
    """
    if not lengths or min(*lengths, seq) < 1:
        raise ValueError(f"lengths={list(lengths)}, seq={seq}: expected numbers from 1 on")
    rows = _rows(lengths, seq, packed)
    ax = panels(height=0.5 + 0.3 * len(rows))[1][0] if ax is None else ax
    with plt.rc_context(STYLE):
        for y, row in enumerate(rows):
            for x in range(seq):
                color = row[x] if x < len(row) else "none"
                cell = Rectangle((x, y), 0.9, 0.8, facecolor=color, edgecolor=GRAY, linewidth=0.5)
                ax.add_patch(cell)
        ax.set(xlim=(-0.2, seq), ylim=(len(rows), -0.2), title=title, xlabel="position in the row")
        ax.set(yticks=[], xticks=[])
        _hide_frame(ax)
    return figure_of(ax)


def _rows(lengths: Sequence[int], seq: int, packed: bool) -> list[list[str]]:
    """The color of each cell, row by row."""
    texts = [[COLORS[number % 6]] * (length - 1) + [GRAY] for number, length in enumerate(lengths)]
    if not packed:
        return [text[:seq] for text in texts]
    ribbon = [color for text in texts for color in text]
    return [ribbon[start : start + seq] for start in range(0, len(ribbon) - seq + 1, seq)]


def targets(
    tokens: Sequence[str],
    hidden: Collection[int],
    *,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """What the two kinds of model read and guess: a row of inputs and one of targets for each.

    Args:
        tokens: a short text.
        hidden: numbers of the tokens that are hidden from the masked model, counted from 0.

    Raises:
        ValueError: if `hidden` names a token that is not there, or there are fewer than two.
    """
    if len(tokens) < 2 or any(not 0 <= place < len(tokens) for place in hidden):
        raise ValueError(
            f"hidden={sorted(hidden)}, with {len(tokens)} tokens: expected two tokens or more, and "
            "numbers of some of them"
        )
    masked = ["[?]" if place in hidden else token for place, token in enumerate(tokens)]
    found = [token if place in hidden else "" for place, token in enumerate(tokens)]
    rows = [
        (0, "causal, reads", tokens[:-1]),
        (1, "guesses", tokens[1:]),
        (2.5, "masked, reads", masked),
        (3.5, "guesses", found),
    ]
    ax = panels(height=1.8)[1][0] if ax is None else ax
    with plt.rc_context(STYLE):
        for y, name, row in rows:
            color = COLORS[1] if name == "guesses" else GRAY
            for x, token in enumerate(row):
                ax.text(x, y, token, ha="center", va="center", color=color)
        ax.set_yticks([y for y, _, _ in rows], [name for _, name, _ in rows])
        ax.set(xlim=(-0.6, len(tokens) - 0.4), ylim=(4, -0.5), xticks=[], title=title)
        ax.tick_params(length=0)
        _hide_frame(ax)
    return figure_of(ax)


def _hide_frame(ax: Axes) -> None:
    for spine in ax.spines.values():
        spine.set_visible(False)


def power_law(
    points: Mapping[int, float],
    law: tuple[float, float, float],
    *,
    sixth: tuple[int, float] | None = None,
    x_label: str,
    y_label: str,
    ax: Axes | None = None,
) -> Figure:
    """The points that a law was fitted to, the law, and the point that it was to foresee.

    Args:
        points: parameters of a model -> its loss.
        law: (E, A, alpha) of E + A / parameters ** alpha.
        sixth: parameters and loss of the model that was not fitted.

    Raises:
        ValueError: if there are fewer than two points, or a size is not above 0.
    """
    if len(points) < 2 or min(points) <= 0:
        raise ValueError(f"points={dict(points)}: expected two sizes or more, all above 0")
    ax = panels(height=3.2)[1][0] if ax is None else ax
    floor, factor, alpha = law
    last = sixth[0] if sixth else max(points)
    line = np.geomspace(min(points) / 1.2, max(max(points), last) * 1.2, 50)
    with plt.rc_context(STYLE):
        ax.plot(line, floor + factor * line**-alpha, color=GRAY, linestyle="--", label="the law")
        ax.plot(*zip(*points.items(), strict=True), "o", color=COLORS[0], label="fitted to these")
        if sixth:
            ax.plot(*sixth, "D", color=COLORS[1], label="trained afterwards")
        ax.set(xscale="log", xlabel=x_label, ylabel=y_label)
        ax.legend(fontsize=8)
    return figure_of(ax)
