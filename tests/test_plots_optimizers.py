"""Paths, rates and intervals are drawn where their numbers are, and what cannot be is refused."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from refusals import refused
from underglass import plots


@pytest.fixture(autouse=True)
def _no_window(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")


HESSIAN = torch.tensor([[2.0, 1.0], [1.0, 5.0]])


def drawn(ax: Any) -> dict[str, list[tuple[float, float]]]:
    """The points of each line with a name."""
    lines = {line.get_label(): line.get_xydata() for line in ax.lines}
    return {name: [tuple(xy) for xy in points.tolist()] for name, points in lines.items()}


def test_valley_draws_each_step_and_lines_of_equal_height():
    path = torch.tensor([[2.0, -1.0], [0.5, 0.25], [9.0, 9.0]])
    figure: Any = plots.valley(HESSIAN, {"a": path, "b": path / 2})
    (ax,) = figure.axes
    assert drawn(ax)["a"] == [tuple(point) for point in path.tolist()]
    assert drawn(ax)["b"] == [tuple(point) for point in (path / 2).tolist()]
    assert ax.get_xlim()[1] == pytest.approx(2.3)  # the first points, not the one that ran away
    assert ax.get_xlabel() == "$w_1$"
    (contours,) = (part for part in ax.collections if hasattr(part, "levels"))
    for level, line in zip(contours.levels, contours.get_paths(), strict=True):
        for point in line.vertices[::20]:
            height = point @ HESSIAN.numpy() @ point / 2
            assert height == pytest.approx(level, rel=0.03, abs=0.02)


def test_rates_draw_every_seed_and_the_middle_one():
    losses = {"A": {0.1: [3.0, 1.0, 2.0], 0.01: [4.0, 5.0]}, "B": {1.0: [2.5]}}
    figure: Any = plots.rates(losses, y_label="loss", highest=6.0)
    (ax,) = figure.axes
    assert ax.get_xscale() == "log"
    lines = drawn(ax)
    assert lines["A"] == [(0.01, 4.5), (0.1, 2.0)]
    points = {tuple(xy) for line in ax.lines for xy in line.get_xydata().tolist()}
    assert {(0.1, 3.0), (0.1, 1.0), (0.1, 2.0), (0.01, 4.0), (0.01, 5.0), (1.0, 2.5)} <= points
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["A", "B"]


def test_rates_mark_what_diverged_at_the_top():
    losses = {"A": {0.1: [3.0], 1.0: [math.inf, math.nan, 7.0]}}
    figure: Any = plots.rates(losses, y_label="loss", highest=6.0)
    crosses = [line.get_xydata() for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert np.concatenate(crosses).tolist() == [[1.0, 6.0]] * 3
    assert drawn(figure.axes[0])["A"] == [(0.1, 3.0)]


def test_intervals_stand_in_the_order_given():
    scores = {"first": (1.0, 2.0, 4.0), "second": (-1.0, 0.0, 0.5)}
    figure: Any = plots.intervals(scores, x_label="nats", zero=True)
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.get_yticklabels()] == ["first", "second"]
    assert ax.yaxis_inverted()
    points = [line.get_xydata().tolist() for line in ax.lines]
    assert points[:4] == [[[1, 0], [4, 0]], [[2, 0]], [[-1, 1], [0.5, 1]], [[0, 1]]]
    assert points[4][0][0] == 0  # the dashed line
    logarithmic: Any = plots.intervals({"a": (0.1, 1.0, 10.0)}, x_label="s", log=True)
    assert logarithmic.axes[0].get_xscale() == "log"
    assert len(logarithmic.axes[0].lines) == 2


def test_panels_may_be_given():
    figure, (left, middle, right) = plots.panels(3)
    assert plots.valley(HESSIAN, {"a": torch.ones(2, 2)}, ax=left) is figure
    assert plots.rates({"a": {1.0: [1.0]}}, y_label="", highest=2.0, ax=middle) is figure
    assert plots.intervals({"a": (0.0, 1.0, 2.0)}, x_label="", ax=right) is figure
    assert figure.axes == [left, middle, right]


def test_refusals():
    with refused(ValueError, r"losses\['A'\] has the rate 0.0 with 1 losses: expected a rate"):
        plots.rates({"A": {0.0: [1.0]}}, y_label="", highest=1.0)
    with refused(ValueError, r"losses\['A'\] has the rate 0.1 with 0 losses"):
        plots.rates({"A": {0.1: []}}, y_label="", highest=1.0)
    with refused(ValueError, r"scores\['a'\] is \(2.0, 1.0, 3.0\): expected low <= score"):
        plots.intervals({"a": (2.0, 1.0, 3.0)}, x_label="")
    with refused(ValueError, "all above 0"):
        plots.intervals({"a": (0.0, 1.0, 3.0)}, x_label="", log=True)
