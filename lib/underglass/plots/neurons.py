"""Texts with a color behind each token, and tables of who had an effect on whom."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from jaxtyping import Bool
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from underglass.plots.style import COLORS, GRAY, STYLE, figure_of, panels

LETTERS = 78  # so many of a fixed width go into a line of a figure
SHOWN = str.maketrans("\n\t", "\u21b5\u2192")  # a token may be the end of a line


def excited(
    texts: Sequence[tuple[Sequence[str], Sequence[float]]],
    *,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """A line for each text; behind each token a color, the stronger the larger its number.

    The largest number of all texts has the full color; what is not above 0 has none. A line that is
    too long loses its beginning.

    Args:
        texts: pairs of the tokens and their numbers.

    Raises:
        ValueError: if there are no texts, or one has not as many numbers as tokens.
    """
    if not texts:
        raise ValueError("texts=[]: expected at least one")
    for place, (tokens, numbers) in enumerate(texts):
        if len(tokens) != len(numbers):
            raise ValueError(
                f"texts[{place}] has {len(numbers)} numbers: expected {len(tokens)}, one a token"
            )
    ax = panels(height=0.35 + 0.24 * len(texts))[1][0] if ax is None else ax
    most = max(1e-9, *(float(number) for _, numbers in texts for number in numbers))
    with plt.rc_context(STYLE):
        for row, (tokens, numbers) in enumerate(texts):
            for start, text, number in _placed(tokens, numbers):
                share = max(0.0, float(number)) / most
                place, wide = (start, row - 0.42), len(text)
                color = Rectangle(place, wide, 0.84, color=COLORS[4], alpha=share, linewidth=0)
                ax.add_patch(color)
                ax.text(
                    *(start, row),
                    text,
                    family="monospace",
                    fontsize=7.5,
                    va="center",
                    parse_math=False,
                    color="#222222" if share > 0.5 else GRAY,
                )
        ax.set(xlim=(0, LETTERS), ylim=(len(texts) - 0.5, -0.5), title=title)
        ax.set_axis_off()
    return figure_of(ax)


def _placed(tokens: Sequence[str], numbers: Sequence[float]) -> list[tuple[int, str, float]]:
    """(place of the first letter, text, number) of the last tokens that fit in a line."""
    shown = [token.translate(SHOWN) for token in tokens]
    first, room = len(shown), LETTERS
    while first and len(shown[first - 1]) <= room:
        first -= 1
        room -= len(shown[first])
    placed, start = [], 0
    for text, number in zip(shown[first:], numbers[first:], strict=True):
        placed.append((start, text, number))
        start += len(text)
    return placed


def reach(
    tables: Mapping[str, Bool[Tensor, "rows columns"]],
    *,
    x_label: str = "token that is changed",
    y_label: str = "output that changes",
) -> Figure:
    """A panel for each table: a full square where the row is affected by the column.

    Raises:
        ValueError: if there are no tables.
    """
    if not tables:
        raise ValueError("tables={}: expected at least one")
    figure, axes = panels(len(tables), height=2.0)
    with plt.rc_context(STYLE):
        for ax, (name, table) in zip(axes, tables.items(), strict=True):
            rows, columns = table.shape
            for row in range(rows):
                for column in range(columns):
                    full = bool(table[row, column])
                    cell = Rectangle(
                        (column + 0.06, row + 0.06),
                        0.88,
                        0.88,
                        facecolor=COLORS[0] if full else "none",
                        edgecolor=GRAY,
                        linewidth=0.5,
                    )
                    cell.set_gid("reached" if full else "out of reach")
                    ax.add_patch(cell)
            ax.set(xlim=(0, columns), ylim=(rows, 0), aspect="equal")
            ax.set_title(name, fontsize=9)
            ax.set_xticks([0.5, columns - 0.5], ["0", str(columns - 1)])
            ax.set_yticks([0.5, rows - 0.5], ["0", str(rows - 1)])
        figure.supxlabel(x_label, fontsize=9)
        figure.supylabel(y_label, fontsize=9)
    return figure
