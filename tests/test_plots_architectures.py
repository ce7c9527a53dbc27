"""Blocks and stacks are drawn as they are built, and what is shown of neurons is what was given."""

from typing import Any

import pytest
import torch
from refusals import refused
from underglass import plots
from underglass.attention import causal_mask


@pytest.fixture(autouse=True)
def _no_window(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")


def boxes(ax: Any, part: str) -> list[Any]:
    found = [patch for patch in ax.patches if patch.get_gid() == part]
    return sorted(found, key=lambda patch: patch.get_y())


def stream_at(ax: Any) -> set[float]:
    return {line.get_xdata()[0] for line in ax.lines if line.get_gid() == "stream"}


def stands_on(box: Any, x: float) -> bool:
    return box.get_x() < x < box.get_x() + box.get_width()


@pytest.mark.parametrize(("norms", "on_stream"), [("before", False), ("after", True)])
def test_norms_stand_on_the_stream_or_beside_it(norms, on_stream):
    figure: Any = plots.block(norms, title="a block")
    (ax,) = figure.axes
    (x,) = stream_at(ax)
    assert [stands_on(box, x) for box in boxes(ax, "norm")] == [on_stream] * 2
    (attention,), (net,) = boxes(ax, "looking"), boxes(ax, "feed-forward")
    assert not grids(ax)  # the same for an encoder and a decoder
    assert attention.get_y() < net.get_y()
    assert not stands_on(attention, x)
    assert not stands_on(net, x)
    pluses = sorted(p.center[1] for p in ax.patches if p.get_gid() == "plus")
    for part, norm, plus in zip((attention, net), boxes(ax, "norm"), pluses, strict=True):
        assert part.get_y() < plus
        assert (norm.get_y() > plus) == on_stream
    assert ax.get_title() == "a block"
    figure.canvas.draw()


def grids(ax: Any) -> list[Any]:
    """The small grids from below, each a table of what is seen."""
    cells = [p for p in ax.patches if p.get_gid() in ("seen", "hidden")]
    tables = []
    for place in range(0, len(cells), 16):
        own = sorted(cells[place : place + 16], key=lambda p: (-p.get_y(), p.get_x()))
        seen = torch.tensor([p.get_gid() == "seen" for p in own]).view(4, 4)
        tables.append((own[0].get_y(), seen))
    return [seen for _, seen in sorted(tables, key=lambda table: table[0])]


@pytest.mark.parametrize(
    ("kind", "parts", "norms"),
    [
        ("encoder", {"attention": 1, "feed-forward": 1, "tokens": 1, "scores": 0}, 2),
        ("decoder", {"causal attention": 1, "feed-forward": 1, "tokens": 1, "scores": 1}, 3),
        ("encoder-decoder", {"attention": 1, "causal attention": 1, "cross-attention": 1}, 5),
    ],
)
def test_each_stack_has_its_parts(kind, parts, norms):
    figure: Any = plots.architecture(kind)
    (ax,) = figure.axes
    assert {part: len(boxes(ax, part)) for part in parts} == parts
    assert len(boxes(ax, "norm")) == norms
    assert len(stream_at(ax)) == (2 if kind == "encoder-decoder" else 1)
    figure.canvas.draw()


def test_the_small_grids_are_the_masks():
    whole, causal = torch.ones(4, 4, dtype=torch.bool), causal_mask(4)
    for kind, masks in (("encoder", [whole]), ("decoder", [causal])):
        figure: Any = plots.architecture(kind)
        for seen, mask in zip(grids(figure.axes[0]), masks, strict=True):
            assert torch.equal(seen, mask)
    both: Any = plots.architecture("encoder-decoder")
    found = grids(both.axes[0])
    assert sorted(int(seen.sum()) for seen in found) == [10, 16, 16]


def test_the_context_goes_to_the_cross_attention():
    figure: Any = plots.architecture("encoder-decoder")
    (ax,) = figure.axes
    (cross,) = boxes(ax, "cross-attention")
    ends = [patch._posA_posB[1] for patch in boxes_of_arrows(ax)]
    middle = cross.get_y() + cross.get_height() / 2
    assert any(x == pytest.approx(cross.get_x()) and y == pytest.approx(middle) for x, y in ends)


def boxes_of_arrows(ax: Any) -> list[Any]:
    return [patch for patch in ax.patches if patch.get_gid() == "arrow"]


def test_excited_puts_a_color_behind_each_token():
    texts = [(["a", " lot", "$\n"], [0.0, 2.0, -1.0]), (["x" * 70, "y" * 9], [5.0, 4.0])]
    figure: Any = plots.excited(texts, title="neuron 7")
    (ax,) = figure.axes
    shown = [(text.get_text(), text.get_position()) for text in ax.texts]
    assert shown == [("a", (0, 0)), (" lot", (1, 0)), ("$↵", (5, 0)), ("y" * 9, (0, 1))]
    widths = [(p.get_x(), p.get_width(), p.get_alpha()) for p in ax.patches]
    assert widths == [(0, 1, 0.0), (1, 4, 0.4), (5, 2, 0.0), (0, 9, 0.8)]
    # The letters on a strong color are dark, in both themes of the page.
    assert [text.get_color() == "#222222" for text in ax.texts] == [False, False, False, True]
    assert ax.get_title() == "neuron 7"
    figure.canvas.draw()


def test_reach_fills_what_is_reached():
    tables = {"decoder": causal_mask(3), "cross": torch.tensor([[True, False], [False, True]])}
    figure: Any = plots.reach(tables)
    assert [ax.get_title() for ax in figure.axes] == ["decoder", "cross"]
    for ax, table in zip(figure.axes, tables.values(), strict=True):
        full = {(round(p.get_y()), round(p.get_x())) for p in boxes(ax, "reached")}
        assert full == {tuple(place) for place in table.nonzero().tolist()}
        assert len(boxes(ax, "out of reach")) == table.numel() - len(full)
        assert ax.yaxis_inverted()


def test_refusals():
    with refused(ValueError, "norms='between': expected 'before' or 'after'"):
        plots.block("between")
    with refused(ValueError, "kind='perceptron': expected one of encoder, decoder"):
        plots.architecture("perceptron")
    with refused(ValueError, r"texts=\[\]: expected at least one"):
        plots.excited([])
    with refused(ValueError, r"texts\[1\] has 1 numbers: expected 2, one a token"):
        plots.excited([(["a"], [1.0]), (["a", "b"], [1.0])])
    with refused(ValueError, r"tables=\{\}: expected at least one"):
        plots.reach({})


def test_panels_may_be_given():
    figure, (left, middle, right) = plots.panels(3)
    assert plots.block("before", ax=left) is figure
    assert plots.architecture("decoder", ax=middle) is figure
    assert plots.excited([(["a"], [1.0])], ax=right) is figure
    assert figure.axes == [left, middle, right]
