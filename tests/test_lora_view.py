"""A matrix and its update: the page after real clicks, drags and keys, against numpy."""

import re
from itertools import pairwise

import ipywidgets
import numpy as np
import pytest
import torch
from driving import LATER, luminance, number, script_time
from playwright.sync_api import Locator, Page
from torch import Tensor
from underglass.widgets import LoRAView

pytestmark = pytest.mark.browser

D_OUT, D_IN, RANK = 53, 59, 3  # more than the pictures show
HALF = 0.50001  # of the last digit shown
KEPT = 2e-4  # of the largest number of a picture: what 16 bits lose
HOSTILE = ("<script>alert(1)</script>", "שלום עולם", "🙂 & <b>")


def triple(d_out: int = D_OUT, d_in: int = D_IN, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """A weight before and after, whose change has large and small directions; LoRA's update."""
    draw = torch.Generator().manual_seed(seed)
    before, noise = torch.randn(2, d_out, d_in, generator=draw)
    b, a = torch.randn(d_out, RANK, generator=draw), torch.randn(RANK, d_in, generator=draw)
    strong = torch.outer(torch.randn(d_out, generator=draw), torch.randn(d_in, generator=draw))
    return before, before + 0.01 * noise + 0.02 * strong, 0.005 * b @ a


def norm(table: np.ndarray) -> float:
    return float(np.linalg.norm(table))


def tables(parts: tuple, rank: int, update: str = "full") -> dict[str, np.ndarray]:
    """What the four pictures show, whole."""
    before, after, lora = (part.double().numpy() for part in parts)
    change = after - before if update == "full" else lora
    u, s, vt = np.linalg.svd(change, full_matrices=False)
    best = (u[:, :rank] * s[:rank]) @ vt[:rank]
    return {"before": before, "update": change, "best": best, "rest": change - best}


def said(page: Page | Locator, kind: str) -> str:
    return page.locator(f"[data-number='{kind}']").inner_text().replace("\u00a0", " ")


def told(text: str) -> tuple[float, float]:
    """The first number of a text, and half of its last digit."""
    found = re.findall(r"−?[\d,]+\.?\d*(?:e−?\d+)?", text)[0].replace(",", "")
    digits = len(found.partition("e")[0].partition(".")[2])
    power = int(found.partition("e")[2].replace("−", "-") or 0)
    return number(found), HALF * 10.0 ** (power - digits)


def check(page: Page | Locator, kind: str, wanted: float) -> None:
    value, half = told(said(page, kind))
    assert value == pytest.approx(wanted, abs=half), kind


def check_numbers(page: Page | Locator, parts: tuple, rank: int, update: str = "full") -> None:
    """The error that remains, by building the approximation; what is kept, and what is stored."""
    wanted = tables(parts, rank, update)
    d_out, d_in = wanted["before"].shape
    size, rest = (norm(wanted[part]) for part in ("update", "rest"))
    check(page, "error", rest / size)
    check(page, "kept", 100 * (1 - (rest / size) ** 2))
    stored = rank * (d_out + d_in)
    assert said(page, "stored") == f"{stored:,} of {d_out * d_in:,}"
    check(page, "share", 100 * stored / (d_out * d_in))
    assert said(page, "factors") == f"{rank} × ({d_out} + {d_in})"
    assert told(said(page, "norm"))[0] == pytest.approx(rest, rel=6e-5, abs=1e-6 * size)
    check(page, "small", 100 * size / norm(wanted["before"]))
    squares = np.linalg.svd(wanted["update"])[1] ** 2
    enough = int((squares.cumsum() < 0.9 * squares.sum()).sum()) + 1
    assert said(page, "enough") == str(enough)


def check_cell(page: Page | Locator, parts: tuple, rank: int, at: tuple[int, int]) -> None:
    """The numbers of one cell, by its row and column in the pictures."""
    wanted = tables(parts, rank)
    i, j = (k * size // 48 if size > 48 else k for k, size in zip(at, parts[0].shape, strict=True))
    text = page.locator(".read").inner_text()
    assert text.startswith(f"Row {i}, column {j}: before ")
    assert f"of rank {rank} " in text
    for part, table in wanted.items():
        value, half = told(said(page, part))
        lost = KEPT * np.abs(table).max()
        assert value == pytest.approx(table[i, j], abs=half + lost), (part, i, j)
        assert half < 0.02 * np.abs(wanted["before" if part == "before" else "update"]).max()


def slider(page: Page | Locator):
    return page.get_by_role("slider", name="rank r")


def pictures(page: Page | Locator):
    return page.get_by_role("application")


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label, exact=True).select_option(label=option)


def pixels(page: Page, part: int) -> np.ndarray:
    """Red, green and blue of each cell of a picture."""
    found = (
        page.locator("canvas")
        .nth(part)
        .evaluate(
            """(c) => [c.height, c.width,
          [...c.getContext("2d").getImageData(0, 0, c.width, c.height).data]]"""
        )
    )
    return np.array(found[2]).reshape(found[0], found[1], 4)[..., :3]


def test_the_numbers_at_every_rank(show):
    parts = triple(11, 17)
    page = show(LoRAView({"query": parts[:2]}, rank=0))
    for rank in range(12):
        assert slider(page).get_attribute("aria-valuetext") == str(rank)
        check_numbers(page, parts, rank)
        slider(page).press("ArrowRight")
    assert said(page, "error") == "0.0000"
    assert page.get_by_text("LoRA’s update beside the full one").is_hidden()
    assert page.get_by_role("combobox").count() == 1  # nobody else's update


def test_what_a_rank_can_hold_is_said(show):
    page = show(LoRAView({"query": triple(5, 7)}, rank=0))
    for words in (
        "Rank 0: nothing changes.",
        "Rank 1: every row is a multiple of one row, every column a multiple of one column.",
        "Rank 2: every row is a mix of the same 2 rows, every column a mix of the same 2 columns.",
    ):
        assert page.locator(".words").inner_text().startswith(words)
        slider(page).press("ArrowRight")
    slider(page).press("End")
    assert page.locator(".words").inner_text().startswith("Full rank: nothing is lost")


def test_cells_by_keys_pointer_and_click(show):
    parts = triple()
    page = show(LoRAView({"query": parts}, rank=2))
    check_cell(page, parts, 2, (0, 0))
    at = [0, 0]
    for key, place in [
        ("ArrowUp", (0, 0)),
        ("ArrowRight", (0, 1)),
        ("ArrowDown", (1, 1)),
        ("End", (1, 47)),
        ("ArrowRight", (1, 47)),
        ("ArrowLeft", (1, 46)),
        ("ArrowDown", (2, 46)),
        ("Home", (2, 0)),
    ]:
        pictures(page).press(key)
        check_cell(page, parts, 2, place)
        label = pictures(page).get_attribute("aria-label") or ""
        assert label == page.locator(".read").inner_text() + ". Arrow keys move."
        at = list(place)
    for part, place in ((1, (30, 20)), (3, (47, 47)), (0, (5, 9))):
        canvas = page.locator("canvas").nth(part)
        box = canvas.bounding_box()
        assert box
        y, x = (place[0] + 0.5) / 48 * box["height"], (place[1] + 0.5) / 48 * box["width"]
        canvas.hover(position={"x": x, "y": y})
        check_cell(page, parts, 2, place)
        slider(page).hover()
        check_cell(page, parts, 2, (at[0], at[1]))  # what was kept is back
        canvas.click(position={"x": x, "y": y})
        slider(page).hover()
        check_cell(page, parts, 2, place)
        at = list(place)
        mark = page.locator(".sheet i").nth(part).bounding_box()
        assert mark
        assert mark["x"] + mark["width"] / 2 == pytest.approx(box["x"] + x, abs=2)
        assert mark["y"] + mark["height"] / 2 == pytest.approx(box["y"] + y, abs=2)
    for rank in (3, 4):
        slider(page).press("ArrowRight")
        check_cell(page, parts, rank, (5, 9))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_are_those_of_the_numbers(show, theme):
    parts = triple(13, 17)
    page = show(LoRAView({"query": parts}, rank=1), theme=theme)
    low, zero, high = np.array([[179, 81, 10], [247, 247, 247], [31, 95, 191]])
    if theme == "dark":
        low, zero, high = np.array([[240, 163, 94], [42, 49, 59], [125, 180, 255]])
    wanted = tables(parts, 1)
    for part, (name, table) in enumerate(wanted.items()):
        of = np.sort(np.abs(wanted["before" if name == "before" else "update"]), axis=None)
        share = (table / of[int(np.ceil(0.98 * of.size)) - 1]).clip(-1, 1)[..., None]
        colours = zero + np.abs(share) * (np.where(share < 0, low, high) - zero)
        np.testing.assert_allclose(pixels(page, part), colours, atol=2.5)
        end = told(page.locator("figure .scale").nth(part).locator("span").nth(1).inner_text())
        assert end[0] == pytest.approx(of[int(np.ceil(0.98 * of.size)) - 1], abs=end[1])


def test_a_large_matrix_and_a_smaller_one(show):
    """Above 256 terms there is only all of them; a matrix may have fewer than the rank before."""
    large, small = triple(270, 300), triple(11, 17)
    page = show(LoRAView({"large": large, "small": small[:2]}, rank=256))
    check_numbers(page, large, 256)
    check_cell(page, large, 256, (0, 0))
    slider(page).press("ArrowRight")
    check_numbers(page, large, 270)
    assert (pixels(page, 3) == [247, 247, 247]).all()  # nothing remains
    pictures(page).press("End")
    choose(page, "matrix", "small")
    check_numbers(page, small, 11)
    check_cell(page, small, 11, (0, 16))
    slider(page).press("Home")
    check_numbers(page, small, 0)
    assert (pixels(page, 2) == [247, 247, 247]).all()
    choose(page, "matrix", "large")
    for _ in range(18):
        slider(page).press("ArrowRight")
    check_numbers(page, large, 20)
    assert "48 of 270 rows, evenly spread" in page.locator(".says").first.inner_text()


def overlap(parts: tuple, rank: int) -> list[float]:
    """Hu et al. (2021), equation 4, of the outputs' and the inputs' directions."""
    before, after, lora = (part.double().numpy() for part in parts)
    (u, _, vt), (mine, _, mine_t) = (np.linalg.svd(x) for x in (after - before, lora))
    both = mine[:, :RANK].T @ u[:, :rank], mine_t[:RANK] @ vt[:rank].T
    return [float((cosines**2).sum()) / min(rank, RANK) for cosines in both]


def test_lora_beside_the_full_update(show):
    parts = triple()
    page = show(LoRAView({"query": parts}, rank=0))
    before, after, lora = (part.double().numpy().ravel() for part in parts)
    change = after - before
    sizes = norm(change), norm(lora)
    best = tables(parts, RANK)["best"].ravel()
    assert said(page, "out") == said(page, "in") == "–"
    for rank in range(1, 7):
        slider(page).press("ArrowRight")
        check(page, "size", sizes[1] / sizes[0])
        check(page, "cosine", float(change @ lora) / (sizes[0] * sizes[1]))
        check(page, "ideal", float(change @ best) / (sizes[0] * norm(best)))
        shares = overlap(parts, rank)
        for kind, shared, size in (("out", shares[0], D_OUT), ("in", shares[1], D_IN)):
            check(page, kind, shared)
            name = page.locator(f"div:has(> [data-number='{kind}']) dt").inner_text()
            assert f"by chance {max(rank, RANK) / size:.2f}" in name
    assert "not ΔW cut off at rank 3" in page.locator(".says").last.inner_text()


def test_lora_s_own_update(show):
    parts = triple()
    page = show(LoRAView({"query": parts}, rank=1))
    choose(page, "update by", "LoRA")
    for rank in (1, 2):
        check_numbers(page, parts, rank, "lora")
        assert page.locator("figcaption").nth(1).inner_text() == "BA, the update"
        slider(page).press("ArrowRight")
    assert said(page, "error") == "0.0000"  # rank 3 is all there is
    assert said(page, "kept") == "100.0 %"
    assert (pixels(page, 3) == [247, 247, 247]).all()
    np.testing.assert_array_equal(pixels(page, 1), pixels(page, 2))
    choose(page, "update by", "full fine-tuning")
    check_numbers(page, parts, 3)


def heights(page: Page, chart: int, selector: str) -> np.ndarray:
    """Points of a path as values, by the numbers at the axis: [point, (pixel across, value)]."""
    plot = page.locator("svg.plot").nth(chart)
    ticks = {
        number(text.text_content()): float(text.get_attribute("y") or "") - 4
        for text in plot.locator("text[text-anchor=end]").all()
        if re.fullmatch(r"[\d.]+", text.text_content() or "")
    }
    (low, from_), (high, to), *_ = sorted(ticks.items())
    path = plot.locator(selector).get_attribute("d") or ""
    stems = r"M(\S+) \S+V([\d.]+)"  # from the axis up
    found = re.findall(stems if "V" in path else r"[ML](\S+) ([\d.]+)", path)
    points = np.array([[float(across), float(up)] for across, up in found])
    points[:, 1] = low + (points[:, 1] - from_) * (high - low) / (to - from_)
    return points


def test_charts_stand_where_the_numbers_say(show):
    parts = triple(29, 31)
    page = show(LoRAView({"query": parts}, rank=4))
    before, after, lora = (part.double().numpy() for part in parts)
    s, own = (np.linalg.svd(x)[1] / norm(x) for x in (after - before, lora))
    kept, lost = heights(page, 0, ".kept"), heights(page, 0, ".lost")
    most = max(s[0], own[0])
    np.testing.assert_allclose([*kept[:, 1], *lost[:, 1]], s, atol=0.002 * most)
    assert len(kept) == 4
    np.testing.assert_allclose(heights(page, 0, "path.other")[:, 1], own, atol=0.002 * most)
    errors = np.sqrt([(s[r:] ** 2).sum() for r in range(30)])
    drawn = heights(page, 1, "path.error")
    np.testing.assert_allclose(drawn[:, 1], errors, atol=0.002)
    stored = [r * (29 + 31) / (29 * 31) for r in range(15)]  # at 15 more than the matrix
    np.testing.assert_allclose(heights(page, 1, ".stored")[:, 1], stored, atol=0.002)
    rings = page.locator("circle.ring").evaluate("c => [c.cx.baseVal.value, c.cy.baseVal.value]")
    assert rings[0] == pytest.approx(drawn[4, 0])
    across = 40 + 302 * np.log(np.arange(1, 31)) / np.log(30)
    np.testing.assert_allclose(drawn[:, 0], across, atol=0.06)
    assert f"at rank 4: {errors[4]:.4f}" in (
        page.locator("svg.plot").nth(1).get_attribute("aria-label") or ""
    )


def test_a_drag_in_a_chart_chooses_the_rank(show):
    parts = triple(29, 31)
    page = show(LoRAView({"query": parts}, rank=4))
    for chart in (0, 1):
        box = page.locator("svg.plot").nth(chart).bounding_box()
        assert box
        page.mouse.move(0, 0)
        for step, rank in enumerate((2, 7, 29)):
            x = box["x"] + (40 + 302 * np.log(rank + 1) / np.log(30)) * box["width"] / 350
            page.mouse.move(x, box["y"] + 100)
            if step == 0:
                page.mouse.down()
            check_numbers(page, parts, rank)
        page.mouse.up()
        page.mouse.move(box["x"] + 60, box["y"] + 100)
        check_numbers(page, parts, 29)  # not pressed any more


def test_nothing_changed(show):
    before, _, lora = triple(5, 7)
    zero = before * 0
    page = show(LoRAView({"same": (before, before, lora), "zero": (zero, zero, zero)}, rank=2))
    for name in ("same", "zero"):
        choose(page, "matrix", name)
        assert page.locator(".words").inner_text() == "Nothing changed in this matrix."
        assert said(page, "error") == "0.0000"
        assert said(page, "enough") == "0"
        assert said(page, "size") == "–"
        assert said(page, "out") == "–"
        assert "NaN" not in page.locator(".ug").inner_html()
        assert "Infinity" not in page.locator(".ug").inner_html()
    choose(page, "update by", "LoRA")
    choose(page, "matrix", "same")
    assert float(said(page, "error")) > 0


def test_one_row(show):
    parts = triple(1, 7)
    page = show(LoRAView({"row": parts}))
    check_numbers(page, parts, 1)
    pictures(page).press("ArrowDown")
    pictures(page).press("End")
    check_cell(page, parts, 1, (0, 6))
    slider(page).press("Home")
    check_numbers(page, parts, 0)


def test_hostile_names_are_text(show):
    parts = triple(5, 7)
    page = show(LoRAView({name: parts[:2] for name in HOSTILE}, rank=1))
    choices = page.get_by_role("combobox", name="matrix").locator("option")
    assert choices.all_text_contents() == list(HOSTILE)
    assert page.locator(".ug script").count() == page.locator(".ug option b").count() == 0
    choose(page, "matrix", HOSTILE[1])
    page.locator("[role=status]").filter(has_text=HOSTILE[1]).wait_for(state="attached")


def test_a_pause_is_spoken(show):
    parts = triple(5, 7)
    page = show(LoRAView({"query": parts}, rank=1))
    status = page.locator("[role=status]")
    page.wait_for_timeout(700)
    assert status.inner_text() == ""  # nothing has happened yet
    slider(page).press("ArrowRight")
    status.filter(has_text="rank 2").wait_for(state="attached")
    spoken = status.inner_text()
    wanted = tables(parts, 2)
    error = norm(wanted["rest"]) / norm(wanted["update"])
    assert f"query, full fine-tuning, rank 2: error that remains {error:.4f}, " in spoken
    assert spoken.endswith(page.locator(".read").inner_text())


def test_traits_set_in_python_and_links(show):
    first, second = (LoRAView({"a": triple(5, 7, seed), "b": triple(5, 7, 9)}) for seed in (1, 2))
    first.shown, first.update, first.rank = "b", "lora", 2
    page = show(first, second, ipywidgets.jslink((first, "rank"), (second, "rank")))
    one, other = page.locator(".ug").all()
    check_numbers(one, triple(5, 7, 9), 2, "lora")
    check_numbers(other, triple(5, 7, 2), 2)
    slider(one).press("ArrowLeft")
    check_numbers(other, triple(5, 7, 2), 1)
    assert slider(other).get_attribute("aria-valuetext") == "1"


def test_drawn_before_it_is_in_the_page_and_taken_away(show):
    page, parts = show(LoRAView({"a": triple(5, 7, seed=3)})), triple(5, 7)
    widget = LoRAView({"query": parts}, rank=2)
    own = ("_matrices", "_numbers")
    state = {k: v for k, v in widget.get_state().items() if k[:1] != "_" or k in own}
    page.evaluate(
        f"""async ([source, state]) => {{
          state._numbers = new DataView(Uint8Array.from(state._numbers).buffer);
          await ({LATER})([source, state]);
        }}""",
        [widget._esm, state | {"_numbers": list(widget._numbers)}],
    )
    check_numbers(page, parts, 2)
    page.wait_for_function(
        """() => document.querySelector("canvas").getContext("2d")
          .getImageData(0, 0, 9, 9).data.some((x, i) => i % 4 < 3 && x > 0)"""
    )
    assert page.evaluate("heard.size") > 0
    page.evaluate("stop()")
    assert page.evaluate("heard.size") == 0
    before = pixels(page, 1)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.evaluate("new Promise(requestAnimationFrame)")
    np.testing.assert_array_equal(pixels(page, 1), before)
    assert page.locator(".ug [id]").count() == 0


def test_colours_follow_the_theme(show):
    page = show(LoRAView({"query": triple(5, 7)}, rank=0))
    assert (pixels(page, 2) == [247, 247, 247]).all()
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.evaluate("new Promise(requestAnimationFrame)")
    assert (pixels(page, 2) == [42, 49, 59]).all()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_curves_stand_out(show, theme):
    page = show(LoRAView({"query": triple(5, 7)}, rank=2), theme=theme)
    ground = luminance(
        page.locator(".ug").evaluate("node => getComputedStyle(node).backgroundColor")
    )
    for name in (".error", "path.other", ".stored", ".kept"):
        stroke = page.locator(name).first.evaluate("node => getComputedStyle(node).stroke")
        low, high = sorted((luminance(stroke), ground))
        assert (high + 0.05) / (low + 0.05) >= 3, name


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_saved_picture(show, theme):
    parts = triple(11, 17)
    page = show(LoRAView({HOSTILE[0]: parts}, rank=2), theme=theme)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as SVG").click()
    assert saved.value.suggested_filename == "lora-view.svg"
    text = saved.value.path().read_text("utf-8")
    drawn = re.findall(r">([^<>]+)</text>", text)
    assert {"W, before", "ΔW, the update", "best of rank 2", "what remains"} <= set(drawn)
    assert drawn[0] == "&lt;script&gt;alert(1)&lt;/script&gt;, full fine-tuning, rank 2"
    assert f"error that remains {said(page, 'error')}, " in drawn[1]
    assert len(re.findall(r'href="data:image/png', text)) == 4
    assert page.locator("svg.plot").count() == 2
    assert "<script" not in text
    assert "NaN" not in text
    ink = "rgb(230, 235, 242)" if theme == "dark" else "rgb(27, 36, 48)"
    assert f'fill="{ink}"' in text


def test_fits_a_phone(show):
    parts, long = triple(), "the matrix of the queries in the sixth block of MiniLM " * 3
    page = show(LoRAView({long: parts, "b": parts}, rank=2), width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    sides = "nodes => nodes.map((n) => [n.getBoundingClientRect().y, n.clientWidth])"
    boxes = page.locator("canvas").evaluate_all(sides)
    assert boxes[0][0] == boxes[1][0] < boxes[2][0] == boxes[3][0]  # two beside each other
    page.locator("canvas").nth(2).tap(position={"x": boxes[2][1] - 2, "y": 2})
    check_cell(page, parts, 2, (0, 47))
    assert slider(page).evaluate("node => node.clientWidth") > 150


def test_nothing_below_jumps_while_dragging(show):
    for width in (1000, 360):
        page = show(LoRAView({"query": triple()}, rank=1), width=width)
        tops = []
        for key in ("Home", "ArrowRight", "ArrowRight", "End"):
            slider(page).press(key)
            tops.append(page.locator("svg.plot").first.evaluate("n => n.getBoundingClientRect().y"))
        assert all(a == pytest.approx(b, abs=1) for a, b in pairwise(tops))


def test_an_update_takes_little_time(show):
    page = show(LoRAView({"query": triple(384, 384)}, rank=256))
    spent = script_time(
        page,
        slider(page),
        """node.value = node.max - 1 - n % 2;
        node.dispatchEvent(new Event("input", { bubbles: true }))""",
        100,
    )
    assert said(page, "stored").startswith(("196,608", "184,320"))
    assert spent <= 8
