"""Tokens, ranks and landmarks are drawn where their numbers are, and what cannot be is refused."""

from typing import Any

import pytest
import torch
from refusals import refused
from underglass import plots


@pytest.fixture(autouse=True)
def _no_window(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")


def test_candidates_fill_what_is_kept():
    given = {"the": 0.5, "$5": 0.3, "a": 0.1}
    figure: Any = plots.candidates(given, {"the": 0.625, "$5": 0.375, "a": 0.0})
    (ax,) = figure.axes
    filled = [bar.get_width() for bar in ax.patches if bar.get_fill()]
    outlined = [bar.get_width() for bar in ax.patches if not bar.get_fill()]
    assert filled == [0.625, 0.375, 0]
    assert outlined == [0.5, 0.3, 0.1]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["the", r"\$5", "a"]
    assert ax.yaxis_inverted()
    whole: Any = plots.candidates(given)
    assert [bar.get_width() for bar in whole.axes[0].patches] == [0.5, 0.3, 0.1] * 2
    assert whole.axes[0].get_legend() is None


def test_ranks_fall_and_rules_mark_their_last_token():
    places = {"sure": torch.tensor([0.1, 0.8, 0.1]), "open": torch.tensor([0.3, 0.3, 0.4])}
    figure: Any = plots.ranks(places, {"top-k": {"sure": 2, "open": 2}, "top-p": {"open": 3}})
    (ax,) = figure.axes
    lines = {line.get_label(): line.get_xydata() for line in ax.lines}
    assert lines["sure"].ravel().tolist() == pytest.approx([1, 0.8, 2, 0.1, 3, 0.1])
    assert lines["top-k"].ravel().tolist() == pytest.approx([2, 0.1, 2, 0.3])
    assert lines["top-p"].ravel().tolist() == pytest.approx([3, 0.3])
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_landmarks_name_each_point_and_cross_at_the_goal():
    points = {"greedy": (1.0, 0.5), "people": (3.0, 0.1)}
    figure: Any = plots.landmarks(points, x_label="x", y_label="y", goal="people")
    (ax,) = figure.axes
    assert [(text.get_text(), text.xy) for text in ax.texts] == [*points.items()]
    dashed = [line.get_xydata()[0].tolist() for line in ax.lines if line.get_linestyle() == "--"]
    assert dashed == [[3.0, 0.0], [0.0, 0.1]]
    # Names lie on alternate sides of their points, and not on the goal's line.
    assert [text.get_horizontalalignment() for text in ax.texts] == ["left", "right"]
    assert [text.get_position()[1] > 0 for text in ax.texts] == [True, False]
    logarithmic: Any = plots.landmarks(points, x_label="", y_label="", goal="people", log=True)
    assert logarithmic.axes[0].get_yscale() == "log"


def test_panels_may_be_given():
    figure, (left, middle, right) = plots.panels(3)
    assert plots.candidates({"a": 1.0}, ax=left) is figure
    assert plots.ranks({"a": torch.ones(1)}, {}, ax=middle) is figure
    assert plots.landmarks({"a": (0.0, 0.0)}, x_label="", y_label="", goal="a", ax=right) is figure
    assert figure.axes == [left, middle, right]


def test_refusals():
    with refused(ValueError, r"kept has the tokens \['b'\], probabilities \['a'\]: expected"):
        plots.candidates({"a": 1.0}, {"b": 1.0})
    with refused(ValueError, "at least one"):
        plots.candidates({})
    place = {"a": torch.ones(2)}
    with refused(ValueError, r"cuts\['top-k'\] keeps 3 tokens at 'a': expected at least 1"):
        plots.ranks(place, {"top-k": {"a": 3}})
    with refused(ValueError, r"cuts\['top-k'\] keeps 1 tokens at 'b'"):
        plots.ranks(place, {"top-k": {"b": 1}})
    with refused(ValueError, r"goal='people': expected one of \['a'\]"):
        plots.landmarks({"a": (0.0, 0.0)}, x_label="", y_label="", goal="people")
