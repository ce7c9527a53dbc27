"""Each figure draws the numbers it was given, names its axes, and refuses what does not fit."""

from typing import Any

import matplotlib.pyplot as plt
import pytest
import torch
from underglass import plots
from underglass.plots import style


@pytest.fixture(autouse=True)
def _no_window(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")


def test_curves_draw_their_numbers_on_named_axes():
    figure: Any = plots.curves(
        [1, 2, 4], {"up": [1, 2, 3], "down": [3, 2, 1]}, x_label="n", y_label="s", log="x"
    )
    (ax,) = figure.axes
    assert [line.get_ydata().tolist() for line in ax.lines] == [[1, 2, 3], [3, 2, 1]]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xscale()) == ("n", "s", "log")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["up", "down"]
    colors = {line.get_color() for line in ax.lines}
    markers = {line.get_marker() for line in ax.lines}
    assert len(colors) == len(markers) == 2


@pytest.mark.parametrize(("x", "whole"), [(range(5), True), ([0.0, 1.5, 4.0], False)])
def test_whole_numbers_are_labeled_at_whole_numbers(x, whole):
    figure: Any = plots.curves([*x], {"a": [0.0] * len(x)}, x_label="block", y_label="y")
    ticks = figure.axes[0].get_xticks()
    assert all(tick == round(tick) for tick in ticks) == whole


def test_ticks_that_were_set_stay():
    _, (ax,) = plots.panels()
    ax.set_xticks([0, 3])
    plots.curves(range(5), {"a": [0.0] * 5}, x_label="block", y_label="y", ax=ax)
    assert ax.get_xticks().tolist() == [0, 3]


def test_curves_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match=r"lines\['a'\] has 1 points: expected 2"):
        plots.curves([1, 2], {"a": [1]}, x_label="", y_label="")
    with pytest.raises(ValueError, match="log='z'"):
        plots.curves([1], {"a": [1]}, x_label="", y_label="", log="z")


def test_panels_stand_side_by_side_in_one_figure():
    figure, (left, right) = plots.panels(2)
    assert plots.curves([1], {"a": [1]}, x_label="", y_label="", ax=left) is figure
    assert figure.axes == [left, right]
    with pytest.raises(ValueError, match="count=0"):
        plots.panels(0)


def test_a_figure_stands_on_any_page():
    """Nothing is painted behind it, and no text is black or white."""
    figure: Any = plots.curves([1, 2], {"a": [1, 2]}, x_label="x", y_label="y")
    (ax,) = figure.axes
    assert figure.get_facecolor()[3] == 0 == ax.get_facecolor()[3]
    assert ax.xaxis.label.get_color() == style.GRAY


def test_a_figure_is_shown_once_and_not_kept_by_pyplot():
    before = plt.get_fignums()
    plots.curves([1], {"a": [1]}, x_label="", y_label="")
    assert plt.get_fignums() == before


def test_heads_show_each_number_in_its_place():
    scores = torch.rand(3, 5)
    figure: Any = plots.heads(scores, label="mean weight", title="before")
    ax, bar = figure.axes
    drawn = torch.as_tensor(ax.images[0].get_array().data)
    torch.testing.assert_close(drawn, scores)
    assert (ax.get_xlabel(), ax.get_ylabel(), bar.get_ylabel()) == ("head", "layer", "mean weight")
    assert ax.images[0].get_clim() == (0, 1)
    negative: Any = plots.heads(scores - 0.5, label="r", lowest=-1)
    assert negative.axes[0].images[0].get_clim() == (-1, 1)
    for image, at_zero in ((ax.images[0], 0.0), (negative.axes[0].images[0], 0.5)):
        assert image.cmap(at_zero)[3] == pytest.approx(0, abs=0.01)  # 0 is clear
        assert image.cmap(1.0)[3] == 1
    with pytest.raises(ValueError, match="lowest=1"):
        plots.heads(scores, label="", lowest=1)


def test_two_halves_rings_the_head_that_was_chosen():
    chosen_on, judged_on = torch.tensor([0.1, 0.9, 0.5]), torch.tensor([0.2, 0.6, 0.8])
    luck = torch.tensor([0.5, 0.4])
    figure: Any = plots.two_halves(
        chosen_on, judged_on, shuffled=(luck, luck), baselines={"nearest": 0.47}
    )
    (ax,) = figure.axes
    crosses, dots, ring = (part.get_offsets().data for part in ax.collections)
    torch.testing.assert_close(
        torch.as_tensor(dots).float(), torch.stack([chosen_on, judged_on], 1)
    )
    assert ring.tolist() == [pytest.approx([0.9, 0.6])]
    assert len(crosses) == 2
    assert ax.lines[0].get_ydata()[0] == 0.47
    assert "chosen" in ax.get_xlabel()
    assert "judged" in ax.get_ylabel()
