"""A batch of pairs: the page after real clicks and keys, against info_nce and autograd."""

import math
import re
from typing import Any

import ipywidgets
import numpy as np
import pytest
import torch
from driving import LATER, number
from playwright.sync_api import Locator, Page
from refusals import refused
from torch import Tensor
from underglass.losses import info_nce
from underglass.widgets import ContrastiveMap

N, WIDE = 5, 7
HOSTILE = ["<script>alert(1)</script>", "שלום עולם", "🙂 & <b>", "", "In the beginning " * 12]
HALF_A_DIGIT = 5.001e-5  # four digits are shown
EXACT = 1e-12  # of the numbers behind them


def pairs(n: int = N, seed: int = 0, noise: float = 1.2) -> tuple[Tensor, Tensor]:
    """Rows that belong together, of any norm; not all of them find each other."""
    a, b = torch.randn(2, n, WIDE, generator=torch.Generator().manual_seed(seed)).double()
    return 3 * a, a + noise * b


def softmax(s: Tensor, temperature: float, dim: int, leave_out: bool) -> Tensor:
    """Shares of a line's sum; with the mistake, of the sum of all but its own partner."""
    powers = (s / temperature).exp()
    summed = powers * (1 - torch.eye(len(s)).double()) if leave_out else powers
    return powers / summed.sum(dim=dim, keepdim=True)


def expected(pair: tuple[Tensor, Tensor], temperature: float, leave_out: bool = False) -> Any:
    """Similarities, both softmaxes, losses, pull and retrieval, by torch in float64."""
    units = [x / x.norm(dim=1, keepdim=True) for x in pair]
    s = (units[0] @ units[1].T).requires_grad_()
    rows, columns = (softmax(s, temperature, dim, leave_out) for dim in (1, 0))
    loss_a, loss_b = -rows.diagonal().log(), -columns.diagonal().log()
    loss = (loss_a.mean() + loss_b.mean()) / 2
    if not leave_out:
        torch.testing.assert_close(loss, info_nce(*pair, temperature=temperature))
    (pull,) = torch.autograd.grad(loss, s)
    hits = [(s.argmax(dim) == torch.arange(len(s))).double().mean().item() for dim in (1, 0)]
    with torch.no_grad():
        return {
            "loss": loss.item(),
            "loss-a": loss_a.mean().item(),
            "loss-b": loss_b.mean().item(),
            "found-a": hits[0],
            "found-b": hits[1],
            "similarity": s.numpy(),
            "rows": rows.numpy(),
            "columns": columns.numpy(),
            "pull": pull.numpy(),
            "lines": {"rows": loss_a.numpy(), "columns": loss_b.numpy()},
        }


def read(page: Page | Locator, kind: str) -> float:
    """A number of the panel with all its digits; what is shown is that number."""
    node = page.locator(f".panel [data-number='{kind}']")
    exact = float(node.get_attribute("data-value") or "")
    if not kind.startswith("found"):
        digit = abs(exact) * 0.006 if abs(exact) > 1e5 else HALF_A_DIGIT  # shown as 1.23e+30
        assert number(node.inner_text()) == pytest.approx(exact, abs=digit)
    return exact


def check_totals(page: Page, wanted: dict) -> None:
    for kind in ("loss", "loss-a", "loss-b", "found-a", "found-b"):
        assert read(page, kind) == pytest.approx(wanted[kind], abs=EXACT, rel=EXACT), kind


def check_cell(page: Page | Locator, wanted: dict, i: int, j: int, direction: str = "rows") -> None:
    line = i if direction == "rows" else j
    for kind, value in (
        ("similarity", wanted["similarity"][i, j]),
        ("probability", wanted[direction][i, j]),
        ("pull", wanted["pull"][i, j]),
        ("line", wanted["lines"][direction][line]),
    ):
        assert read(page, kind) == pytest.approx(value, abs=EXACT, rel=1e-10), (kind, i, j)


def cell(page: Page, i: int, j: int):
    """The rectangle of row i and column j."""
    rects = page.locator(".matrix rect[fill]")
    return rects.nth(i * math.isqrt(rects.count()) + j)


def choose(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def matrix(page: Page):
    return page.get_by_role("application")


# Without a browser


def test_repr():
    assert repr(ContrastiveMap(pairs())) == "ContrastiveMap(5 pairs)"
    assert repr(ContrastiveMap(pairs(1))) == "ContrastiveMap(1 pair)"
    both = ContrastiveMap({"before": pairs(), "after": pairs(seed=1)})
    assert repr(both) == "ContrastiveMap(5 pairs, before and after)"
    assert both.shown == "before"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_similarities_are_cosines_whatever_the_dtype(dtype):
    pair = tuple(x.to(dtype).requires_grad_() for x in pairs())
    carried = np.frombuffer(ContrastiveMap(pair)._similarities).reshape(N, N)
    wanted = torch.cosine_similarity(pair[0].double()[:, None], pair[1].double()[None], dim=-1)
    np.testing.assert_allclose(carried, wanted.detach().numpy(), atol=1e-12)


def test_a_row_of_zeros_is_like_nothing():
    a, b = pairs()
    a[2] = 0
    carried = np.frombuffer(ContrastiveMap((a.numpy(), b.numpy()))._similarities).reshape(N, N)
    assert (carried[2] == 0).all()
    assert np.isfinite(carried).all()


A, B = torch.ones(3, 2), torch.ones(3, 2)
BAD = torch.tensor([[1.0, 2.0], [3.0, math.nan], [1.0, 1.0]])


@pytest.mark.parametrize(
    ("error", "embeddings", "message"),
    [
        (TypeError, A, r"embeddings is a Tensor, expected a pair of tensors \(a, b\)"),
        (TypeError, (A,), r"embeddings is a tuple, expected a pair of tensors"),
        (TypeError, {"x": A}, r"embeddings\['x'\] is a Tensor, expected a pair"),
        (TypeError, (A, [[1.0]]), r"embeddings\[1\] is a list, expected a tensor \[batch d_model"),
        (TypeError, (A.long(), B), r"embeddings\[0\] is torch.int64, expected floating-point"),
        (ValueError, {}, r"embeddings is an empty dict, expected names with \(a, b\)"),
        (
            ValueError,
            (A, B[:2]),
            r"embeddings: a \[3, 2\], b \[2, 2\], expected the same \[batch d_model\]",
        ),
        (ValueError, (A, torch.ones(3, 4)), r"embeddings: a \[3, 2\], b \[3, 4\]"),
        (ValueError, (A[:0], B[:0]), r"embeddings\[0\] has shape \[0, 2\], .* with 1 to 32 rows"),
        (ValueError, (A[:, :0], B), r"embeddings\[0\] has shape \[3, 0\]"),
        (ValueError, (torch.ones(33, 2),) * 2, r"embeddings\[0\] has shape \[33, 2\]"),
        (ValueError, (A[0], B[0]), r"embeddings\[0\] has shape \[2\]"),
        (ValueError, (A, BAD), r"embeddings\[1\]\[1, 1\]=nan, expected finite numbers"),
        (ValueError, {"x": (A * math.inf, B)}, r"embeddings\['x'\]\[0\]\[0, 0\]=inf, expected"),
        (
            ValueError,
            {"x": (A, B), "y": (A[:2], B[:2])},
            r"embeddings holds batches of \{'x': 3, 'y': 2\}, expected the same pairs in all",
        ),
    ],
)
def test_bad_embeddings_are_refused(error, embeddings, message):
    with refused(error, message):
        ContrastiveMap(embeddings)


@pytest.mark.parametrize(
    ("error", "options", "message"),
    [
        (TypeError, {"labels": "abc"}, "labels='abc', expected a list of texts, or two of them"),
        (ValueError, {"labels": ["a", "b"]}, "labels has 2 texts, expected 3, one for each pair"),
        (ValueError, {"labels": (["a"] * 3, ["b"] * 2)}, r"labels\[1\] has 2 texts, expected 3"),
        (ValueError, {"labels": [["a"]] * 3}, "labels has 3 entries, expected texts, or two lists"),
        (TypeError, {"labels": (["a"] * 3, "abc")}, r"labels\[1\]='abc', expected a list of texts"),
        (TypeError, {"labels": ([1, 2, 3], ["a"] * 3)}, r"labels\[0\]=\[1, 2, 3\], expected a"),
        (ValueError, {"temperature": 0.0}, "temperature=0.0, expected 0.01 to 2"),
        (ValueError, {"temperature": math.nan}, "temperature=nan, expected 0.01 to 2"),
    ],
)
def test_bad_options_are_refused(error, options, message):
    with refused(error, message):
        ContrastiveMap((A, B), **options)


def test_labels():
    names = [["a1", "a2"], ["b1", "b2"]]
    assert ContrastiveMap((A[:2], B[:2]))._labels == names
    assert ContrastiveMap((A[:2], B[:2]), labels=("x", "y"))._labels == [["x", "y"]] * 2
    assert ContrastiveMap((A[:2], B[:2]), labels=(("x", "y"), ["z", ""]))._labels == [
        ["x", "y"],
        ["z", ""],
    ]


@pytest.mark.parametrize(
    ("trait", "value", "message"),
    [
        ("temperature", 3.0, "temperature=3.0, expected 0.01 to 2"),
        ("row", 5, "row=5, expected 0 to 4"),
        ("column", -1, "column=-1, expected 0 to 4"),
        ("shown", "later", r"shown='later', expected one of \['before', 'after'\]"),
        ("view", "gradient", "gradient"),
        ("direction", "both", "both"),
    ],
)
def test_a_trait_keeps_its_range(trait, value, message):
    widget = ContrastiveMap({"before": pairs(), "after": pairs(seed=1)})
    before = getattr(widget, trait)
    with refused(Exception, message):
        setattr(widget, trait, value)
    assert getattr(widget, trait) == before


def test_one_pair_has_no_negative_to_be_left_with():
    widget = ContrastiveMap(pairs(1))
    with refused(ValueError, "leave_out=True, expected False: one pair has nothing else to sum"):
        widget.leave_out = True


# In a browser


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_cell_is_the_library_s(show, theme):
    pair = pairs()
    page = show(ContrastiveMap(pair, temperature=0.11), theme=theme)
    wanted = expected(pair, 0.11)
    assert 0 < wanted["found-a"] < 1  # or retrieval would not be tested
    check_totals(page, wanted)
    matrix(page).press("Home")
    for i in range(N):
        for j in range(N):
            check_cell(page, wanted, i, j)
            matrix(page).press("ArrowRight")
        matrix(page).press("Home")
        matrix(page).press("ArrowDown")


@pytest.mark.browser
@pytest.mark.parametrize("direction", ["rows", "columns"])
def test_clicking_pointing_and_temperature(show, direction):
    pair = pairs()
    page = show(ContrastiveMap(pair))
    if direction == "columns":
        choose(page, "b looks for a")
    heat = page.get_by_role("slider", name="temperature")
    for key, temperature in [("Home", 0.01), ("End", 2.0), ("ArrowLeft", 1.95)]:
        heat.press(key)
        wanted = expected(pair, temperature)
        check_totals(page, wanted)
        cell(page, 3, 1).click()
        check_cell(page, wanted, 3, 1, direction)
        cell(page, 2, 4).hover()
        check_cell(page, wanted, 2, 4, direction)
        heat.hover()  # away from the matrix: what was clicked is back
        check_cell(page, wanted, 3, 1, direction)


@pytest.mark.browser
def test_the_switch_between_embeddings(show):
    sets = {"10": pairs(), "9": pairs(noise=0.2), "<b>": pairs(seed=4)}
    page = show(ContrastiveMap(sets, temperature=0.2))
    group = page.get_by_role("group", name="embeddings")
    assert group.get_by_role("button").all_inner_texts() == list(sets)
    for name, pair in sets.items():
        group.get_by_role("button", name=name, exact=True).click()
        assert group.locator("[aria-pressed=true]").inner_text() == name
        wanted = expected(pair, 0.2)
        check_totals(page, wanted)
        check_cell(page, wanted, 0, 0)
    alone = show(ContrastiveMap(pairs()))
    assert alone.get_by_role("group", name="embeddings").count() == 0


@pytest.mark.browser
def test_the_mistake_of_leaving_the_positive_out(show):
    pair = pairs(noise=0.2)
    page = show(ContrastiveMap(pair))
    assert page.locator(".wrong").inner_text() == ""
    page.get_by_role("checkbox", name="leave the positive out").check()
    wanted = expected(pair, 0.07, leave_out=True)
    assert wanted["loss"] < 0
    check_totals(page, wanted)
    check_cell(page, wanted, 0, 0)
    assert read(page, "probability") > 1
    assert read(page, "pull") == pytest.approx(-1 / (N * 0.07))  # it never lets go
    choose(page, "Probabilities")
    assert "negatives of each row add up to 1" in page.locator(".says").inner_text()
    assert page.locator("dt").nth(1).inner_text() == "ratio of b1 for a1"
    choose(page, "b looks for a")
    assert "negatives of each column add up to 1" in page.locator(".says").inner_text()
    cell(page, 1, 3).click()
    check_cell(page, wanted, 1, 3, "columns")
    assert "It has no lower end" in page.locator(".wrong").inner_text()
    assert read(page, "none") == pytest.approx(math.log(N - 1))
    page.get_by_role("checkbox", name="leave the positive out").uncheck()
    check_totals(page, expected(pair, 0.07))
    assert read(page, "none") == pytest.approx(math.log(N))


def fills(page: Page) -> np.ndarray:
    colours = page.locator(".matrix rect[fill]").evaluate_all(
        "all => all.map((rect) => rect.getAttribute('fill').match(/\\d+/g).map(Number))"
    )
    n = math.isqrt(len(colours))
    return np.array(colours).reshape(n, n, 3)


@pytest.mark.browser
@pytest.mark.parametrize("kind", ["Similarity", "Probabilities", "Pull"])
def test_colours_are_those_of_the_numbers(show, kind):
    pair = pairs()
    page = show(ContrastiveMap(pair, temperature=0.3))
    choose(page, kind)
    wanted = expected(pair, 0.3)
    values = wanted[{"Similarity": "similarity", "Probabilities": "rows", "Pull": "pull"}[kind]]
    low, middle, high = np.array([[179, 81, 10], [247, 247, 247], [31, 95, 191]])
    if kind == "Probabilities":
        low, middle, high = np.array([[255, 255, 255], [127, 176, 230], [11, 47, 102]])
        values = 2 * values - 1
    else:
        values = values / (np.abs(values).max() if kind == "Pull" else 1)
    share = np.abs(values)[..., None]
    end = np.where(values[..., None] < 0, low, high)
    np.testing.assert_allclose(fills(page), middle + share * (end - middle), atol=2.5)
    digits = page.locator(".digit").all_text_contents()  # the cells are large enough for numbers
    shown = wanted[{"Similarity": "similarity", "Probabilities": "rows", "Pull": "pull"}[kind]]
    assert [number(text) for text in digits] == pytest.approx(list(shown.flat), abs=0.00501)


@pytest.mark.browser
def test_the_probabilities_drawn_follow_the_direction(show):
    pair = pairs()
    page = show(ContrastiveMap(pair, temperature=0.3))
    choose(page, "Probabilities")
    assert "Each row adds up to 1" in page.locator(".says").inner_text()
    rows = fills(page)
    choose(page, "b looks for a")
    assert "Each column adds up to 1" in page.locator(".says").inner_text()
    digits = [number(text) for text in page.locator(".digit").all_text_contents()]
    assert digits == pytest.approx(list(expected(pair, 0.3)["columns"].flat), abs=0.00501)
    assert (fills(page) != rows).any()


@pytest.mark.browser
def test_bars_are_the_losses_of_rows_and_columns(show):
    pair = pairs()
    page = show(ContrastiveMap(pair, temperature=0.1))
    wanted = expected(pair, 0.1)["lines"]
    boxes = page.locator(".bar").evaluate_all(
        "all => all.map((b) => [b.width.baseVal.value, b.height.baseVal.value])"
    )
    across, down = np.array(boxes[::2])[:, 0], np.array(boxes[1::2])[:, 1]
    longest = max(wanted["rows"].max(), wanted["columns"].max())
    np.testing.assert_allclose(across, wanted["rows"] / longest * 24, atol=0.01)
    np.testing.assert_allclose(down, wanted["columns"] / longest * 28, atol=0.01)


@pytest.mark.browser
@pytest.mark.parametrize("direction", ["rows", "columns"])
def test_the_hardest_negative(show, direction):
    pair = pairs(11)
    page = show(ContrastiveMap(pair, temperature=0.1), height=1100)
    if direction == "columns":
        choose(page, "b looks for a")
    cell(page, 7, 7).click()
    wanted = expected(pair, 0.1)
    s = wanted["similarity"][7] if direction == "rows" else wanted["similarity"][:, 7]
    others = np.array([x if k != 7 else -9 for k, x in enumerate(s)])
    hardest = int(others.argmax())
    share = np.exp(others / 0.1)[hardest] / np.exp(others / 0.1).sum()
    one, other = ("a", "b") if direction == "rows" else ("b", "a")
    told = page.locator(".words").nth(1).inner_text().replace("\u00a0", " ")
    assert f"hardest negative of {one}8 is {other}{hardest + 1} (" in told
    assert number(re.findall(r"similarity (\S+)\)", told)[0]) == pytest.approx(
        others[hardest], abs=0.00501
    )
    assert f"takes {100 * share:.0f} % of the push" in told
    choose(page, "Hardest negative")
    place = (7, hardest) if direction == "rows" else (hardest, 7)
    check_cell(page, wanted, *place, direction)
    frame, there = (
        node.evaluate("r => [r.x.baseVal.value, r.y.baseVal.value]")
        for node in (page.locator("rect.hardest"), cell(page, *place))
    )
    assert frame == pytest.approx(there)
    choose(page, "Partner")
    check_cell(page, wanted, 7, 7, direction)
    page.get_by_role("slider", name="temperature").press("Home")
    told = page.locator(".words").nth(1).inner_text().replace("\u00a0", " ")
    share = np.exp(others / 0.01)[hardest] / np.exp(others / 0.01).sum()
    assert f"takes {100 * share:.0f} % of the push" in told
    assert share > 0.9  # the colder, the more the hardest alone counts


ONES = torch.eye(4).double()
ALIKE = torch.stack([ONES[0], ONES[1] + 0.75 * ONES[2], *ONES[2:]])  # b2 is a little like a3
SWAPPED = ONES[[1, 0, 2, 3]]


@pytest.mark.browser
@pytest.mark.parametrize(
    ("b", "i", "j", "words", "low", "high"),
    [
        (ALIKE, 0, 0, "belong together, and the loss hardly pulls any more", -0.02, 0),
        (ALIKE, 1, 1, "belong together: the loss pulls them together.", -0.5, -0.02),
        (SWAPPED, 1, 1, "belong together: the loss pulls them together, hard.", -1, -0.5),
        (ALIKE, 0, 3, "do not belong together, and the loss hardly pushes", 0, 0.005),
        (ALIKE, 2, 1, "do not belong together: the loss pushes them apart.", 0.005, 0.25),
        (SWAPPED, 1, 0, "do not belong together: the loss pushes them apart, hard.", 0.25, 1),
    ],
)
def test_what_the_loss_does_is_said(show, b, i, j, words, low, high):
    pull = expected((ONES, b), 0.07)["pull"][i, j]
    assert low < pull * 4 * 0.07 < high  # a share of the largest pull that there can be
    page = show(ContrastiveMap((ONES, b)))
    cell(page, i, j).click()
    told = page.locator(".words").first.inner_text()
    assert words in told
    change = number(re.findall(r"by about (\S+?)\.?$", told)[0])
    assert change == pytest.approx(pull / 100, abs=5.1e-6)


@pytest.mark.browser
def test_keys_stop_at_the_edges(show):
    page = show(ContrastiveMap(pairs()))
    for key, place in [
        ("ArrowUp", (0, 0)),
        ("ArrowLeft", (0, 0)),
        ("End", (0, 4)),
        ("ArrowRight", (0, 4)),
        ("PageDown", (4, 4)),
        ("ArrowDown", (4, 4)),
        ("PageUp", (0, 4)),
        ("Home", (0, 0)),
    ]:
        matrix(page).press(key)
        said = matrix(page).get_attribute("aria-label") or ""
        assert said.startswith(f"Row a{place[0] + 1}, column b{place[1] + 1}: similarity ")


@pytest.mark.browser
def test_reset(show):
    pair = pairs()
    page = show(ContrastiveMap({"x": pair, "y": pairs(seed=3)}, temperature=0.5))
    for name in ("y", "Pull", "b looks for a"):
        choose(page, name)
    page.get_by_role("slider", name="temperature").press("Home")
    page.get_by_role("checkbox", name="leave the positive out").check()
    cell(page, 3, 1).click()
    choose(page, "Reset")
    check_totals(page, expected(pair, 0.5))
    check_cell(page, expected(pair, 0.5), 0, 0)
    pressed = page.locator("button[aria-pressed=true]").all_inner_texts()
    assert pressed == ["x", "Similarity", "a looks for b"]


@pytest.mark.browser
def test_one_pair(show):
    page = show(ContrastiveMap(pairs(1)))
    check_totals(page, expected(pairs(1), 0.07))
    assert read(page, "loss") == 0
    assert "no other to tell it apart from" in page.locator(".words").nth(1).inner_text()
    choose(page, "Hardest negative")  # leads nowhere
    assert page.get_by_role("checkbox").is_disabled()
    choose(page, "Pull")
    assert "NaN" not in page.locator(".ug").inner_html()


@pytest.mark.browser
def test_the_largest_batch_at_the_coldest(show):
    pair = pairs(32)
    page = show(ContrastiveMap(pair, temperature=0.01))
    wanted = expected(pair, 0.01)
    check_totals(page, wanted)
    for at in (wanted["pull"].argmin(), wanted["pull"].argmax()):
        i, j = divmod(int(at), 32)
        assert abs(wanted["pull"][i, j]) > 0.5
        cell(page, i, j).click()
        check_cell(page, wanted, i, j)
    choose(page, "Pull")
    assert "NaN" not in page.locator(".ug").inner_html()


@pytest.mark.browser
def test_hostile_and_long_texts(show):
    page = show(ContrastiveMap(pairs(), labels=(HOSTILE, HOSTILE[::-1])))
    for i, text in enumerate(HOSTILE):
        cell(page, i, i).click()
        verses = page.locator(".verse bdi").all_inner_texts()  # whole, however long
        assert verses == [(t or "␣").strip() for t in (text, HOSTILE[::-1][i])]
    words = page.locator("svg .word").all_text_contents()
    assert words == ["<script>ale…", "שלום עולם", "🙂 & <b>", "␣", "In the begi…"]
    assert page.locator(".ug script").count() == 0
    assert page.locator(".ug svg b").count() == 0


@pytest.mark.browser
def test_pause_is_spoken(show):
    page = show(ContrastiveMap(pairs(), labels=HOSTILE, temperature=0.5))
    page.wait_for_timeout(700)
    status = page.locator("[role=status]")
    assert status.inner_text() == ""  # nothing has happened yet
    matrix(page).press("ArrowRight")
    status.filter(has_text="Row").wait_for(state="attached")
    wanted = expected(pairs(), 0.5)
    told = status.inner_text()
    said = [number(x) for x in re.findall(r"−?\d+\.\d{4}", told)]
    place = [wanted[kind][0, 1] for kind in ("similarity", "rows", "pull")]
    assert said == pytest.approx([*place, wanted["loss"]], abs=HALF_A_DIGIT)
    assert HOSTILE[0] in told
    assert HOSTILE[1] in told


@pytest.mark.browser
def test_two_widgets_linked(show):
    first, second = ContrastiveMap(pairs()), ContrastiveMap(pairs(seed=2))
    page = show(first, second, ipywidgets.jslink((first, "temperature"), (second, "temperature")))
    page.get_by_role("slider", name="temperature").first.press("End")
    node = page.locator(".ug").nth(1).locator("[data-number='loss']")
    assert number(node.inner_text()) == pytest.approx(
        expected(pairs(seed=2), 2.0)["loss"], abs=HALF_A_DIGIT
    )


@pytest.mark.browser
def test_traits_set_in_python_are_shown(show):
    widget = ContrastiveMap({"x": pairs(), "y": pairs(seed=3)})
    widget.temperature, widget.shown, widget.view, widget.direction = 0.4, "y", "pull", "columns"
    widget.row, widget.column, widget.leave_out = 2, 3, True
    page = show(widget)
    wanted = expected(pairs(seed=3), 0.4, leave_out=True)
    check_totals(page, wanted)
    check_cell(page, wanted, 2, 3, "columns")
    pressed = page.locator("button[aria-pressed=true]").all_inner_texts()
    assert pressed == ["y", "Pull", "b looks for a"]


@pytest.mark.browser
def test_colours_follow_the_theme(show):
    page = show(ContrastiveMap(pairs()))
    before = fills(page)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function(
        "old => document.querySelector('.matrix rect[fill]').getAttribute('fill') !== old",
        arg=f"rgb({', '.join(str(x) for x in before[0, 0])})",
    )
    s = expected(pairs(), 0.07)["similarity"][0, 0]
    assert s > 0
    zero, high = np.array([42, 49, 59]), np.array([125, 180, 255])
    np.testing.assert_allclose(fills(page)[0, 0], zero + s * (high - zero), atol=1.5)


@pytest.mark.browser
def test_drawn_before_it_is_in_the_page_and_taken_away(show):
    page, pair = show(ContrastiveMap(pairs(seed=1))), pairs()
    own = ("_similarities", "_names", "_labels")
    widget = ContrastiveMap(pair)
    state = {k: v for k, v in widget.get_state().items() if k[:1] != "_" or k in own}
    page.evaluate(
        f"""async ([source, state]) => {{
          state._similarities = new DataView(Uint8Array.from(state._similarities).buffer);
          await ({LATER})([source, state]);
        }}""",
        [widget._esm, state | {"_similarities": list(widget._similarities)}],
    )
    page.wait_for_function(
        "document.querySelector('rect[fill]').getAttribute('fill') !== 'rgb(0, 0, 0)'"
    )
    check_totals(page, expected(pair, 0.07))
    s = expected(pair, 0.07)["similarity"][0, 0]
    zero, high = np.array([247, 247, 247]), np.array([31, 95, 191])
    np.testing.assert_allclose(fills(page)[0, 0], zero + s * (high - zero), atol=1.5)
    cell(page, 1, 1).hover()
    assert page.evaluate("heard.size") > 0
    page.evaluate("stop()")
    assert page.evaluate("heard.size") == 0
    before = page.locator(".ug").inner_html()
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.evaluate("new Promise(requestAnimationFrame)")
    assert page.locator(".ug").inner_html() == before
    assert page.locator(".ug [id]").count() == 0


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_saved_picture(show, theme):
    page = show(ContrastiveMap(pairs(), labels=HOSTILE), theme=theme)
    choose(page, "Pull")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as SVG").click()
    assert saved.value.suggested_filename == "contrastive-map.svg"
    text = saved.value.path().read_text("utf-8")
    drawn = re.findall(r">([^<>]+)</text>", text)
    wanted = expected(pairs(), 0.07)
    for value in (*wanted["pull"].flat, *wanted["lines"]["rows"]):
        assert re.sub(r"^-(?!0\.00$)", "−", f"{value:.2f}").lstrip("-") in drawn
    assert {"pulled together", "pushed apart"} <= set(drawn)
    assert f"pull, T = 0.070, loss {wanted['loss']:.4f}" in drawn
    assert page.locator("svg.plot").count() == 1
    assert "<script" not in text
    assert "NaN" not in text
    ink = "rgb(230, 235, 242)" if theme == "dark" else "rgb(27, 36, 48)"
    assert f'fill="{ink}"' in text


@pytest.mark.browser
def test_fits_a_phone(show):
    texts = ["For God so loved the world, that he gave his only begotten Son. " * 9] * 32
    page = show(ContrastiveMap(pairs(32), labels=texts), ContrastiveMap(pairs()), width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    cell(page, 30, 2).tap()
    pair = pairs(32)
    check_cell(page.locator(".ug").first, expected(pair, 0.07), 30, 2)
    box = page.locator(".place").first.bounding_box()
    assert box
    assert box["x"] + box["width"] <= 360
    assert page.locator(".pair").first.evaluate("p => p.scrollHeight > p.clientHeight")
