"""Bars, reliability diagrams and dependence maps draw the numbers they were given."""

from typing import Any

import matplotlib as mpl
import pytest
import torch
from matplotlib.collections import PathCollection
from refusals import refused
from underglass import metrics, plots


@pytest.fixture(autouse=True)
def _no_window(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")


def test_bars_stand_from_the_top_down_beside_their_names():
    figure: Any = plots.bars(["a", "$b"], {"x": [1, 2], "y": [3, 4]}, x_label="nats")
    (ax,) = figure.axes
    assert [[bar.get_width() for bar in group] for group in ax.containers] == [[1, 2], [3, 4]]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", r"\$b"]
    assert ax.get_xlabel() == "nats"
    assert ax.yaxis_inverted()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["x", "y"]
    first, second = (group[0] for group in ax.containers)
    assert first.get_y() + first.get_height() <= second.get_y() + 1e-9  # they do not overlap
    figure.canvas.draw()  # a lone dollar sign would begin a formula, and raise


def test_bars_refuse_what_does_not_fit():
    with refused(ValueError, r"series\['x'\] has 1 numbers: expected 2"):
        plots.bars(["a", "b"], {"x": [1]}, x_label="")
    with refused(ValueError, "expected some of each"):
        plots.bars([], {}, x_label="")


def test_reliability_draws_each_bin_with_enough_examples():
    sure = torch.cat([torch.full((150,), 0.9), torch.full((50,), 0.6), torch.full((1,), 0.2)])
    right = torch.cat([torch.arange(150) < 75, torch.arange(50) < 40, torch.ones(1)])
    bins = metrics.reliability(sure, right, num_bins=10)
    figure: Any = plots.reliability({"a model": bins})
    (ax,) = figure.axes
    diagonal, line = ax.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert line.get_xdata() == pytest.approx([0.6, 0.9])
    assert line.get_ydata() == pytest.approx([0.8, 0.5])
    (dots,) = (part for part in ax.collections if isinstance(part, PathCollection))
    areas = dots.get_sizes()
    assert areas[1] / areas[0] == pytest.approx(3)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("confidence", "share that is right")
    with refused(ValueError, "at least one model"):
        plots.reliability({})


def test_seen_tells_a_little_from_nothing():
    strength = torch.tensor([[2.0, 0.0, 0.0], [1e-6, 4.0, 0.0]])
    figure: Any = plots.seen(strength, ["a", "b", "$c"], title="causal")
    (ax,) = figure.axes
    drawn = ax.images[0].get_array().tolist()
    assert drawn == [[1.0, 0.0, 0.0], [pytest.approx(0.25), 1.0, 0.0]]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["a", "b", r"\$c"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["b", r"\$c"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("input token", "predicted token")
    figure.canvas.draw()


@pytest.mark.parametrize("strength", [torch.zeros(2, 3), -torch.ones(2, 2)])
def test_seen_refuses_what_does_not_fit(strength):
    with refused(ValueError, "for 2 tokens: expected a column for each token"):
        plots.seen(strength, ["a", "b"])


def test_figures_stand_on_any_page():
    figures: list[Any] = [
        plots.bars(["a"], {"x": [1]}, x_label=""),
        plots.reliability({"m": metrics.reliability([0.9], [True])}),
        plots.seen(torch.eye(2), ["a", "b"]),
    ]
    for figure in figures:
        assert figure.get_facecolor()[3] == 0 == figure.axes[0].get_facecolor()[3]
    assert mpl.rcParams["axes.facecolor"] != "none"  # the style is left as it was
