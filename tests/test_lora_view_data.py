"""What LoRAView carries to the page, and what it refuses. The page itself: test_lora_view.py."""

import base64
import json
import math
from typing import Any

import ipywidgets
import numpy as np
import pytest
import torch
from refusals import refused
from torch import Tensor
from underglass.widgets import LoRAView
from underglass.widgets.low_rank import TERMS


def triple(d_out: int, d_in: int, rank: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """A weight before and after, and another update, of a low rank."""
    before, change = torch.randn(2, d_out, d_in)
    lora = torch.randn(d_out, rank) @ torch.randn(rank, d_in)
    return before, before + 0.01 * change, 0.002 * lora


def unpacked(widget: LoRAView) -> list[dict[str, Any]]:
    """What the page reads from the state, in its order: values, pictures, terms and overlaps."""
    at, found = 0, []

    def take(dtype: str, shape: list[int]) -> np.ndarray:
        nonlocal at
        numbers = np.frombuffer(widget._numbers, dtype, math.prod(shape), at)
        at += numbers.nbytes
        return numbers.reshape(shape)

    def fixed(shape: list[int]) -> np.ndarray:
        return float(take("<f8", [1])[0]) * take("<i2", shape)

    for matrix in widget._matrices:
        picture = [len(matrix["rows"]), len(matrix["columns"])]
        one: dict[str, Any] = {"before": fixed(picture)}
        for update in matrix["updates"]:
            one[update["kind"]] = {
                "values": take("<f8", [matrix["full"]]),
                "whole": fixed(picture),
                "left": fixed([update["terms"], picture[0]]),
                "right": fixed([update["terms"], picture[1]]),
            }
        if "lora" in one:
            one["common"] = take("<f8", [2, matrix["updates"][0]["rank"]])
        found.append(one)
    assert at == len(widget._numbers)
    return found


@pytest.mark.parametrize("shape", [(384, 384), (101, 53), (5, 3)])
def test_the_terms_add_up_to_the_update(shape):
    before, after, lora = triple(*shape)
    widget = LoRAView({"one": (before, after, lora)})
    (sent,), (matrix,) = unpacked(widget), widget._matrices
    at = np.ix_(matrix["rows"], matrix["columns"])
    for kind, update in (("full", after.double() - before.double()), ("lora", lora.double())):
        u, s, vt = np.linalg.svd(update.numpy(), full_matrices=False)
        np.testing.assert_allclose(sent[kind]["values"], s, rtol=1e-12)
        largest = np.abs(update.numpy()[at]).max()
        np.testing.assert_allclose(sent[kind]["whole"], update.numpy()[at], atol=largest / 60_000)
        left, right = sent[kind]["left"], sent[kind]["right"]
        for r in sorted({1, 2, len(left) // 2, len(left)}):
            wanted = ((u[:, :r] * s[:r]) @ vt[:r])[at]
            np.testing.assert_allclose(left[:r].T @ right[:r], wanted, atol=2e-4 * largest)
    np.testing.assert_allclose(
        sent["before"], before.numpy()[at], atol=before.abs().max().item() / 60_000
    )


def test_rows_and_columns_of_a_picture_are_spread_evenly():
    (matrix,) = LoRAView({"one": triple(1536, 384)})._matrices
    assert matrix["rows"] == list(range(0, 1536, 32))
    assert matrix["columns"] == list(range(0, 384, 8))
    assert matrix["sample"].startswith(
        "Shown: 48 of 1,536 rows, evenly spread; 48 of 384 columns, evenly spread."
    )
    (small,) = LoRAView({"one": triple(1, 49, rank=1)})._matrices
    assert small["rows"] == [0]
    assert small["columns"] == [j * 49 // 48 for j in range(48)]
    assert small["sample"].startswith("Shown: all 1 row; 48 of 49 columns")


def test_three_matrices_of_minilm_s_sizes_fit_into_the_state():
    shapes = {"query": (384, 384), "value": (384, 384), "feed-forward": (1536, 384)}
    widget = LoRAView({name: triple(*shape, rank=8) for name, shape in shapes.items()})
    assert [matrix["updates"][1]["rank"] for matrix in widget._matrices] == [8, 8, 8]
    state = len(base64.b64encode(widget._numbers)) + len(json.dumps(widget._matrices))
    assert state <= 350_000


def test_ranks_are_counted_above_rounding():
    before, after, lora = triple(31, 37)
    (matrix,) = LoRAView({"one": (before, after, lora)})._matrices
    assert [update["rank"] for update in matrix["updates"]] == [31, 3]
    (matrix,) = LoRAView({"one": (before, before, lora)})._matrices
    assert [update["rank"] for update in matrix["updates"]] == [0, 3]


def test_what_lora_has_in_common_is_one_for_the_leading_directions_themselves():
    before, after, _ = triple(41, 43)
    u, s, vt = torch.linalg.svd(after - before, full_matrices=False)
    own = (u[:, :4] * s[:4]) @ vt[:4]
    widget = LoRAView({"one": (before, after, own)})
    (sent,), (matrix,) = unpacked(widget), widget._matrices
    wanted = np.tile([1.0] * 4 + [0.0] * 37, (2, 1))
    np.testing.assert_allclose(sent["common"], wanted, atol=1e-5)
    assert matrix["cosine"] == pytest.approx(matrix["ideal"], abs=1e-6)
    assert matrix["ideal"] == pytest.approx(float((s[:4] ** 2).sum().sqrt() / s.norm()), abs=1e-6)


def test_by_chance_subspaces_have_the_larger_rank_over_the_size_in_common():
    widget = LoRAView({"one": triple(96, 192, rank=8)})
    (sent,) = unpacked(widget)
    for common, size in zip(sent["common"], (96, 192), strict=True):
        assert common[:16].sum() / 8 == pytest.approx(16 / size, rel=0.25)


def test_stops_are_close_at_first():
    (matrix,) = LoRAView({"one": triple(300, 301)})._matrices
    stops = matrix["stops"]
    assert stops[:21] == [*range(17), 18, 20, 22, 24]
    assert stops[-4:] == [224, 240, TERMS, 300]
    (matrix,) = LoRAView({"one": triple(20, 301)})._matrices
    assert matrix["stops"] == [*range(17), 18, 20]
    (matrix,) = LoRAView({"one": triple(1, 7, rank=1)})._matrices
    assert matrix["stops"] == [0, 1]


def test_any_float_and_arrays_are_taken():
    before, after, lora = triple(5, 7)
    layer = torch.nn.Parameter(before.double())
    widget = LoRAView({"one": (layer, after.numpy().astype(np.float16), lora.bfloat16())})
    update = after.half().double() - before.double()
    (sent,) = unpacked(widget)
    np.testing.assert_allclose(sent["full"]["values"], np.linalg.svd(update)[1], rtol=1e-12)


def test_repr():
    both = LoRAView({"query": triple(5, 7), "<b>": triple(3, 4)[:2]})
    assert repr(both) == "LoRAView(query 5 x 7, <b> 3 x 4)"


A, B = torch.ones(3, 2), torch.ones(3, 2)
NAN = torch.tensor([[1.0, 2.0], [3.0, math.nan], [1.0, 1.0]])


@pytest.mark.parametrize(
    ("error", "matrices", "message"),
    [
        (TypeError, (A, B), r"matrices is a tuple, expected a dict from names to \(before, after"),
        (ValueError, {}, "matrices is empty, expected at least one name"),
        (TypeError, {3: (A, B)}, "matrices names 3, a int, expected a string"),
        (TypeError, {"q": A}, r"matrices\['q'\] is a Tensor, expected \(before, after\) or"),
        (TypeError, {"q": (A,)}, r"matrices\['q'\] is a tuple of 1, expected \(before, after\)"),
        (TypeError, {"q": (A, B, A, B)}, r"matrices\['q'\] is a tuple of 4"),
        (TypeError, {"q": (A, [[1.0]])}, r"matrices\['q'\], after, is a list, expected a tensor"),
        (TypeError, {"q": (A.long(), B)}, r"\['q'\], before, is torch.int64, expected floating"),
        (ValueError, {"q": (A[0], B)}, r"before, has shape \[2\], expected \[d_out d_in\]"),
        (ValueError, {"q": (A[:0], B)}, r"before, has shape \[0, 2\], expected .* neither"),
        (ValueError, {"q": (A, B.to("meta"))}, r"\['q'\], after, is on the meta device"),
        (ValueError, {"q": (A, NAN)}, r"after, is nan at \[1, 1\], expected finite numbers"),
        (ValueError, {"q": (A, B, A * math.inf)}, r"lora, is inf at \[0, 0\], expected finite"),
        (
            ValueError,
            {"q": (A, B, A.T)},
            r"\['q'\] has shapes \{'before': \[3, 2\], 'after': \[3, 2\], 'lora': \[2, 3\]\}",
        ),
    ],
)
def test_bad_matrices_are_refused(error, matrices, message):
    with refused(error, message):
        LoRAView(matrices)


@pytest.mark.parametrize(
    ("trait", "value", "message"),
    [
        ("rank", -1, "rank=-1, expected 0 to 256, or 300"),
        ("rank", 257, r"rank=257, expected 0 to 256, or 300 \(all\)"),
        ("shown", "key", r"shown='key', expected one of \['large', 'small'\]"),
        ("update", "half", "half"),
    ],
)
def test_a_trait_keeps_its_range(trait, value, message):
    widget = LoRAView({"large": triple(300, 300), "small": triple(5, 7)[:2]})
    before = getattr(widget, trait)
    with refused(Exception, message):
        setattr(widget, trait, value)
    assert getattr(widget, trait) == before


def test_another_matrix_may_have_less_to_show():
    widget = LoRAView({"large": triple(300, 300), "small": triple(5, 7)[:2]})
    widget.rank, widget.update = 300, "lora"
    widget.shown = "small"
    assert (widget.rank, widget.update) == (5, "full")
    with refused(ValueError, "update='lora', expected 'full': 'small' has no LoRA update"):
        widget.update = "lora"
    with refused(ValueError, "rank=6, expected 0 to 5$"):
        widget.rank = 6


def test_a_rank_at_the_start():
    assert LoRAView({"one": triple(20, 30)}).rank == 8
    assert LoRAView({"one": triple(5, 7)}).rank == 5
    assert LoRAView({"one": triple(20, 30)}, rank=0).rank == 0
    with refused(ValueError, "rank=-2, expected 0 to 20"):
        LoRAView({"one": triple(20, 30)}, rank=-2)


def test_observed_and_linked():
    first, second = LoRAView({"one": triple(5, 7)}), LoRAView({"one": triple(5, 7)})
    link = ipywidgets.link((first, "rank"), (second, "rank"))
    first.rank = 2
    assert second.rank == 2
    link.unlink()
