"""Rows, targets and laws are drawn as their numbers say, and what cannot be is refused."""

from typing import Any

import pytest
from matplotlib.colors import to_hex
from refusals import refused
from underglass import plots
from underglass.plots.style import COLORS, GRAY


@pytest.fixture(autouse=True)
def _no_window(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")


def cells(figure: Any) -> dict[tuple[int, int], str]:
    """Row and column -> color, of the cells that are filled."""
    patches = figure.axes[0].patches
    return {
        (round(p.get_y()), round(p.get_x())): to_hex(p.get_facecolor()).upper()
        for p in patches
        if p.get_facecolor()[3] > 0
    }


def test_padded_texts_have_a_row_each():
    a, b = (color.upper() for color in COLORS[:2])
    figure = plots.packing([3, 5], 4, packed=False)
    assert cells(figure) == {
        **{(0, 0): a, (0, 1): a, (0, 2): GRAY},
        **{(1, x): b for x in range(4)},
    }
    assert len(figure.axes[0].patches) == 8


def test_packed_texts_follow_one_another():
    a, b, c = (color.upper() for color in COLORS[:3])
    found = cells(plots.packing([3, 2, 4], 4, packed=True, title="t"))
    assert found == {
        **{(0, 0): a, (0, 1): a, (0, 2): GRAY, (0, 3): b},
        **{(1, 0): GRAY, (1, 1): c, (1, 2): c, (1, 3): c},
    }


def test_targets_are_the_next_token_or_the_hidden_one():
    figure: Any = plots.targets(["We", "ask", "peace"], {1})
    rows: dict[float, list[str]] = {}
    for text in figure.axes[0].texts:
        rows.setdefault(text.get_position()[1], []).append(text.get_text())
    assert [*rows.values()] == [
        ["We", "ask"],
        ["ask", "peace"],
        ["We", "[?]", "peace"],
        ["", "ask", ""],
    ]
    colored = [
        t.get_text() for t in figure.axes[0].texts if t.get_color() == COLORS[1] and t.get_text()
    ]
    assert colored == ["ask", "peace", "ask"]


def test_power_law_is_drawn_on_to_the_sixth_size():
    figure: Any = plots.power_law(
        {100: 2.0, 10_000: 1.1}, (1.0, 10.0, 0.5), sixth=(1_000_000, 1.02), x_label="N", y_label="L"
    )
    (ax,) = figure.axes
    law, fitted, sixth = (line.get_xydata() for line in ax.lines)
    assert law[-1, 0] > 1e6
    assert law[:, 1] == pytest.approx(1 + 10 / law[:, 0] ** 0.5)
    assert fitted.tolist() == [[100, 2], [10000, 1.1]]
    assert sixth.tolist() == [[1e6, 1.02]]
    assert (ax.get_xscale(), ax.get_xlabel(), ax.get_ylabel()) == ("log", "N", "L")


def test_panels_may_be_given():
    figure, (left, middle, right) = plots.panels(3)
    assert plots.packing([2], 2, packed=True, ax=left) is figure
    assert plots.targets(["a", "b"], set(), ax=middle) is figure
    law = plots.power_law({1: 2.0, 2: 1.0}, (0.0, 2.0, 1.0), x_label="", y_label="", ax=right)
    assert law is figure
    assert len(right.lines) == 2
    assert figure.axes == [left, middle, right]


def test_refusals():
    with refused(ValueError, r"lengths=\[\], seq=4: expected numbers from 1 on"):
        plots.packing([], 4, packed=True)
    with refused(ValueError, r"lengths=\[2\], seq=0"):
        plots.packing([2], 0, packed=False)
    with refused(ValueError, r"hidden=\[2\], with 2 tokens: expected two tokens or more"):
        plots.targets(["a", "b"], {2})
    with refused(ValueError, "with 1 tokens"):
        plots.targets(["a"], set())
    with refused(ValueError, r"points=\{1: 2.0\}: expected two sizes or more"):
        plots.power_law({1: 2.0}, (0.0, 1.0, 1.0), x_label="", y_label="")
    with refused(ValueError, "all above 0"):
        plots.power_law({0: 2.0, 1: 1.0}, (0.0, 1.0, 1.0), x_label="", y_label="")
