"""Drawings of the Transformer's parts: one block, and the stacks that are built from blocks.

Data flows upward. The thick line is the residual stream: what stands beside it reads from it and
adds to it; what stands on it changes all that has been written so far. In a stack, the small grid
in an attention says which position (row) may look at which (column).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle

from underglass.plots.style import COLORS, GRAY, STYLE, figure_of, panels

# part -> (what is written on it, its color)
PARTS: dict[str, tuple[str, str]] = {
    "norm": ("norm", COLORS[4]),
    "looking": ("attention", COLORS[0]),  # at whom is left open: no grid
    "attention": ("attention", COLORS[0]),
    "causal attention": ("attention", COLORS[0]),
    "cross-attention": ("cross-\nattention", COLORS[3]),
    "feed-forward": ("feed-forward", COLORS[2]),
    "tokens": ("tokens +\npositions", GRAY),
    "scores": ("scores of\ntokens", GRAY),
}
# kind of stack -> its parts in a block, and where its norms stand
STACKS: dict[str, tuple[tuple[str, ...], str]] = {
    "encoder": (("attention", "feed-forward"), "after"),
    "decoder": (("causal attention", "feed-forward"), "before"),
    "encoder-decoder": (("causal attention", "cross-attention", "feed-forward"), "after"),
}
ENDS = {
    "encoder": "a vector of each\ntoken in its text",
    "decoder": "which token\ncomes next",
    "encoder-decoder": "which token\ncomes next",
}
STEP = 2.6  # the height of one part with its norm
WIDE, LOW, FLAT = 2.6, 0.84, 0.5  # the width of a box, and the height of a part and of a norm
ASIDE = 2.1  # from the stream to the middle of a box beside it
CELLS = 4  # rows and columns of a small grid
Point = tuple[float, float]


def block(norms: str, *, title: str = "", ax: Axes | None = None) -> Figure:
    """One block, with its norms "before" each part or "after" each sum.

    Raises:
        ValueError: if the norms are to be elsewhere.
    """
    if norms not in ("before", "after"):
        raise ValueError(f"norms={norms!r}: expected 'before' or 'after'")
    ax = panels(height=3.6)[1][0] if ax is None else ax
    with plt.rc_context(STYLE):
        tower = _Tower(ax, 0.0)
        tower.stream(0.4)
        for part in ("looking", "feed-forward"):
            tower.add(part, norms)
        tower.end()
        _frame(ax, (-1.2, 3.7), (-0.1, tower.y + 0.2), title)
    return figure_of(ax)


def architecture(kind: str, *, title: str = "", ax: Axes | None = None) -> Figure:
    """An "encoder" (BERT), a "decoder" (GPT-2), or an "encoder-decoder" (2017), from tokens up.

    Raises:
        ValueError: if it is another.
    """
    if kind not in STACKS:
        raise ValueError(f"kind={kind!r}: expected one of {', '.join(STACKS)}")
    ax = panels(height=4.8)[1][0] if ax is None else ax
    with plt.rc_context(STYLE):
        if kind != "encoder-decoder":
            tower = _Tower(ax, 0.0)
            _stack(tower, kind)
            tower.end(ENDS[kind])
            _frame(ax, (-1.6, 3.9), (-1.6, 8.5), title)  # one scale, for both side by side
            return figure_of(ax)
        reader, writer = _Tower(ax, 0.0), _Tower(ax, 10.4, side=-1)
        _stack(reader, "encoder")
        cross = _stack(writer, kind)["cross-attention"]
        writer.end(ENDS[kind])
        between = (reader.x + writer.x) / 2
        corner, edge = (between, reader.y), writer.aside - WIDE / 2
        _arrow(ax, [(reader.x, reader.y), corner, (between, cross), (edge, cross)], width=2.0)
        for tower, text in ((reader, "the text that is read"), (writer, "what is written so far")):
            ax.text(tower.x, -1.55, text, fontsize=8, ha="center", va="top")
        _frame(ax, (-1.6, 12.0), (-2.0, writer.y + 0.6), title)
    return figure_of(ax)


@dataclass
class _Tower:
    """Draws upward along one stream, with boxes to the right of it (side 1) or to the left (-1)."""

    ax: Axes
    x: float
    side: int = 1
    y: float = 0.0

    @property
    def aside(self) -> float:
        return self.x + self.side * ASIDE

    def stream(self, height: float) -> None:
        top = self.y + height
        self.ax.plot([self.x] * 2, [self.y, top], color=GRAY, linewidth=3, zorder=1, gid="stream")
        self.y = top

    def end(self, text: str = "") -> None:
        """The arrow in which a stream ends, and what comes out."""
        _arrow(self.ax, [(self.x, self.y), (self.x, self.y + 0.4)], width=3.0)
        self.y += 0.4
        place = (self.x + self.side * 0.5, self.y - 0.3)
        self.ax.text(*place, text, fontsize=8, va="bottom", ha="left" if self.side > 0 else "right")

    def add(self, part: str, norms: str) -> float:
        """A part with the way to it and back, and its norm; returns the part's height."""
        base, before = self.y, norms == "before"
        _arrow(self.ax, [(self.x, base + 0.2), (self.aside, base + 0.2), (self.aside, base + 0.4)])
        if before:
            _box(self.ax, "norm", (self.aside, base + 0.4 + FLAT / 2), FLAT)
            _arrow(self.ax, [(self.aside, base + 0.4 + FLAT), (self.aside, base + 1.15)])
        middle = base + (1.15 if before else 0.4) + LOW / 2
        _box(self.ax, part, (self.aside, middle), LOW)
        top = middle + LOW / 2
        self._back(top, top + 0.25)
        self.stream(top + 0.25 - base)
        if not before:
            self.stream(0.35)
            self.norm()
        self.stream(base + STEP - self.y)
        return middle

    def norm(self) -> None:
        """A norm that stands on the stream."""
        _box(self.ax, "norm", (self.x, self.y + FLAT / 2), FLAT, wide=1.5)
        self.y += FLAT

    def _back(self, top: float, height: float) -> None:
        edge = self.x + self.side * 0.22
        _arrow(self.ax, [(self.aside, top), (self.aside, height), (edge, height)])
        plus = Circle((self.x, height), 0.22, facecolor=GRAY, linewidth=0, zorder=3, gid="plus")
        self.ax.add_patch(plus)
        self.ax.text(
            self.x, height, "+", color="white", ha="center", va="center_baseline", zorder=4
        )


def _stack(tower: _Tower, kind: str) -> dict[str, float]:
    """Tokens at the bottom, a block in its frame, what comes of it on top; each part's height."""
    parts, norms = STACKS[kind]
    _box(tower.ax, "tokens", (tower.x, -1.0), LOW)
    tower.y = -1.0 + LOW / 2
    tower.stream(0.2 - tower.y)
    first = tower.y
    heights = {part: tower.add(part, norms) for part in parts}
    _around(tower, first)
    tower.stream(0.4)
    if norms == "before":
        tower.norm()
        tower.stream(0.3)
    if kind == "encoder":
        tower.stream(0.6)
        return heights
    _box(tower.ax, "scores", (tower.x, tower.y + LOW / 2), LOW)
    tower.y += LOW
    return heights


def _around(tower: _Tower, bottom: float) -> None:
    """A dashed frame around a block, and how often it is there."""
    near, far = tower.x - tower.side * 1.0, tower.x + tower.side * (ASIDE + WIDE / 2 + 0.25)
    left, right = sorted((near, far))
    style = {"facecolor": "none", "edgecolor": GRAY, "linestyle": (0, (3, 3)), "linewidth": 0.9}
    size = (right - left, tower.y - bottom - 0.1)
    tower.ax.add_patch(Rectangle((left, bottom + 0.02), *size, gid="block", **style))
    place = (far - tower.side * 0.1, tower.y + 0.1)
    tower.ax.text(*place, "L blocks", ha="right" if tower.side > 0 else "left", va="bottom")


def _box(ax: Axes, part: str, center: Point, height: float, *, wide: float = WIDE) -> None:
    """A part with its name, and the grid of who looks at whom if it is an attention."""
    name, color = PARTS[part]
    x, y = center
    box = FancyBboxPatch(
        (x - wide / 2, y - height / 2),
        wide,
        height,
        boxstyle="round,pad=0,rounding_size=0.15",
        facecolor=[0.85 + 0.15 * share for share in to_rgb(color)],
        edgecolor=color,
        linewidth=1.4,
        zorder=3,
        gid=part,
    )
    ax.add_patch(box)
    grid = "attention" in part
    ax.text(
        x - 0.4 * grid, y, name, ha="center", va="center", fontsize=8, color="#333333", zorder=4
    )
    if grid:
        _grid(ax, (x + 0.55, y - 0.28), "causal" in part, color)


def _grid(ax: Axes, corner: Point, causal: bool, color: str) -> None:
    """Small squares, the first row on top: full where the row may look at the column."""
    side = 0.14
    for row in range(CELLS):
        for column in range(CELLS):
            seen = column <= row or not causal
            place = (corner[0] + column * side, corner[1] + (CELLS - 1 - row) * side)
            fill = color if seen else "white"
            cell = Rectangle(
                place, side, side, facecolor=fill, edgecolor="white", linewidth=0.5, zorder=4
            )
            cell.set_gid("seen" if seen else "hidden")
            ax.add_patch(cell)


def _arrow(ax: Axes, points: Sequence[Point], *, width: float = 1.2) -> None:
    """A line through the points, with a head at the last."""
    for start, stop in zip(points[:-2], points[1:-1], strict=True):
        ax.plot(*zip(start, stop, strict=True), color=GRAY, linewidth=width, zorder=2)
    head = FancyArrowPatch(
        points[-2],
        points[-1],
        arrowstyle="-|>",
        mutation_scale=7 + 2 * width,
        shrinkA=0,
        shrinkB=0,
        color=GRAY,
        linewidth=width,
        zorder=2,
        gid="arrow",
    )
    ax.add_patch(head)


def _frame(ax: Axes, x: tuple[float, float], y: tuple[float, float], title: str) -> None:
    ax.set(xlim=x, ylim=y, title=title)
    ax.set_aspect("equal", anchor="S")
    ax.set_axis_off()
