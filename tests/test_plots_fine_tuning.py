"""What people said, what learns, and learning curves draw the numbers they were given."""

from typing import Any

import matplotlib as mpl
import pytest
from matplotlib.collections import PathCollection
from refusals import refused
from underglass import plots


@pytest.fixture(autouse=True)
def _no_window(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")


def test_opinions_have_a_dot_for_each_rating_as_large_as_it_is_common():
    figure: Any = plots.opinions({"$5 well spent": [2, 2, 2, -1], "word " * 40: [-3]})
    (ax,) = figure.axes
    dots: list[Any] = [part for part in ax.collections if isinstance(part, PathCollection)]
    first, second = dots
    assert first.get_offsets().tolist() == [[2, 0], [-1, 0]]
    assert first.get_sizes()[0] == 3 * first.get_sizes()[1]
    assert second.get_offsets().tolist() == [[-3, 1]]
    assert first.get_facecolor().tolist() != second.get_facecolor().tolist()  # for and against
    means = [line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1]
    assert means[:2] == [1.25, -3]
    texts = [text.get_text() for text in ax.texts]
    assert texts[0] == r"\$5 well spent"
    assert texts[1].endswith(" ...")
    assert len(texts[1]) < 80
    assert ax.yaxis_inverted()  # the first sentence on top
    figure.canvas.draw()


@pytest.mark.parametrize("ratings", [{}, {"a": [1], "b": []}])
def test_opinions_refuse_what_nobody_rated(ratings):
    with refused(ValueError, "expected some of each"):
        plots.opinions(ratings)


def test_shares_are_written_on_their_colors():
    table = {"head": {"block": 0.0, "top": 1.0}, "lora": {"block": 0.0375, "top": 0.5}}
    figure: Any = plots.shares(table, title="what learns")
    (ax,) = figure.axes
    assert ax.images[0].get_array().tolist() == [[0.0, 0.0375], [1.0, 0.5]]
    assert [text.get_text() for text in ax.texts] == ["0", "0.037", "1.00", "0.50"]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["head", "lora"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["block", "top"]
    assert ax.get_title() == "what learns"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"a": {"x": 1.0}, "b": {"y": 1.0}}, r"table\['b'\].*expected the rows x"),
        ({"a": {"x": 1.5}}, r"table\['a'\] is .*1.5.*share from 0 to 1"),
        ({}, "at least one column with one row"),
    ],
)
def test_shares_refuse_what_does_not_fit(table, message):
    with refused(ValueError, message):
        plots.shares(table)


def test_learning_curves_go_through_the_means_of_the_seeds():
    scores = {"full": {800: [0.8, 0.9], 50: [0.5, 0.7]}, "head": {50: [0.6]}}
    figure: Any = plots.learning_curves(scores, x_label="sentences", y_label="accuracy")
    (ax,) = figure.axes
    lines = [line.get_xydata().tolist() for line in ax.lines]
    assert lines[0] == [[50, pytest.approx(0.6)], [800, pytest.approx(0.85)]]
    assert sorted(lines[1]) == [[50, 0.5], [50, 0.7], [800, 0.8], [800, 0.9]]
    assert lines[2] == [[50, 0.6]]
    assert ax.get_xscale() == "log"
    assert [text.get_text() for text in ax.get_xticklabels()] == ["50", "800"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["full", "head"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("sentences", "accuracy")


@pytest.mark.parametrize(("amount", "found"), [(0, [0.5]), (50, [])])
def test_learning_curves_refuse_what_cannot_be_drawn(amount, found):
    with refused(ValueError, rf"the amount {amount} with {len(found)} scores"):
        plots.learning_curves({"full": {amount: found}}, x_label="", y_label="")


def test_figures_stand_on_any_page():
    figures: list[Any] = [
        plots.opinions({"a": [1]}),
        plots.shares({"a": {"x": 1.0}}),
        plots.learning_curves({"a": {1: [0.5]}}, x_label="", y_label=""),
    ]
    for figure in figures:
        assert figure.get_facecolor()[3] == 0 == figure.axes[0].get_facecolor()[3]
    assert mpl.rcParams["axes.facecolor"] != "none"  # the style is left as it was
