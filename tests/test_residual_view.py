"""One token through every layer: the page after real clicks and keys, against PyTorch."""

import math
import re

import ipywidgets
import pytest
import torch
from driving import LATER, luminance, number, script_time
from playwright.sync_api import Locator, Page
from residual_cases import IDS, LAYERS, WORDS, Step, traced, walk
from underglass.models.gpt import GPT, GPTConfig
from underglass.models.residual import Trace, trace
from underglass.widgets import ResidualView

pytestmark = pytest.mark.browser

STEPS = 2 * LAYERS + 1


def percent(text: str) -> tuple[float, float]:
    """A share as it is shown, as a probability, and half of its last digit."""
    found = re.search(r"[\d.]+", text)
    assert found, text
    digits = len(found[0].partition(".")[2])
    return float(found[0]) / 100, 0.501 * 10 ** -(digits + 2)


def check_percent(text: str, p: float) -> None:
    if "<" in text:
        assert p < 1e-5
    else:
        shown, half = percent(text)
        assert shown == pytest.approx(p, abs=half)


def seen(i: int) -> str:
    return WORDS[i].replace(" ", "␣")


ROWS = """rows => rows.map((row) => [...row.querySelectorAll("td")].map((cell) => ({
  said: cell.innerText, token: cell.querySelector("bdi")?.innerText,
  share: cell.querySelector("small")?.innerText })))"""


def check_table(page: Page | Locator, found: Trace, position: int) -> None:
    """Every row of the lens: the next token's probability and rank, and the candidates."""
    rows = page.locator(".lens tbody tr").evaluate_all(ROWS)
    path, ids = walk(found, position), found.ids[0].tolist()
    for (share, rank, *candidates), step in zip(rows, path, strict=True):
        if position + 1 < len(ids):
            p = step.p[ids[position + 1]]
            check_percent(share["said"], p.item())
            assert rank["said"] == str(1 + int((step.p > p).sum()))
        else:
            assert share["said"] == rank["said"] == "–"
        top = step.p.topk(4)
        for cell, i, p in zip(candidates, top.indices.tolist(), top.values.tolist(), strict=True):
            assert cell["token"] == seen(i)
            assert ("✓" in cell["said"]) == (ids[position + 1 : position + 2] == [i])
            check_percent(cell["share"], p)


def angle(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.rad2deg(torch.nn.functional.cosine_similarity(a, b, dim=0).acos()))


def check_step(page: Page | Locator, step: Step) -> None:
    """The numbers of one step after the embedding, and which tokens it moved."""
    said = {
        node.get_attribute("data-number"): number(re.findall(r"[\d.]+", node.inner_text())[0])
        for node in page.locator(".detail dd").all()
    }
    wanted = {"added": step.added, "before": step.before, "size": step.x}
    for kind, vector in wanted.items():
        assert said[kind] == pytest.approx(vector.norm().item(), rel=6e-4), kind
    assert said["angle"] == pytest.approx(angle(step.added, step.before), abs=0.51)
    assert said["turn"] == pytest.approx(angle(step.x, step.before), abs=0.51)
    for kind, sign in (("raised", 1), ("lowered", -1)):
        order = (sign * (step.p - step.p_before)).topk(3).indices.tolist()
        lines = page.locator(f".{kind} li").all_text_contents()
        assert len(lines) == 3
        for line, i in zip(lines, order, strict=True):
            assert line.startswith(f"{seen(i)} ")
            before, after = line.removeprefix(seen(i)).split("→")
            check_percent(before, step.p_before[i].item())
            check_percent(after, step.p[i].item())


def test_tokens_by_click_and_keys(show):
    found = traced()
    page = show(ResidualView(found, WORDS))
    chips = page.get_by_role("option")
    last = IDS.shape[1] - 1
    check_table(page, found, last - 1)
    chips.nth(2).click()
    check_table(page, found, 2)
    for key, position in [("ArrowRight", 3), ("ArrowLeft", 2), ("Home", 0), ("End", last)]:
        chips.and_(page.locator("[aria-selected=true]")).press(key)
        check_table(page, found, position)
        assert page.evaluate("document.activeElement.dataset.at") == str(position)
    sentence = page.locator(".sentence")
    assert "Nothing is known to come next." in sentence.inner_text()
    chips.nth(last).press("ArrowLeft")
    p = walk(found, last - 1)[-1].p[IDS[0, last]]
    check_percent(page.locator("[data-number=next]").inner_text(), p.item())


def test_steps_by_click_and_keys(show):
    found = traced()
    page = show(ResidualView(found, WORDS, position=3, step=1))
    path = walk(found, 3)
    pressed = page.locator(".lens [aria-pressed=true]")
    check_step(page, path[1])
    for step in range(2, STEPS):
        pressed.press("ArrowDown")
        check_step(page, path[step])
    page.get_by_role("button", name="block 1 attention").click()
    check_step(page, path[3])
    pressed.press("Home")
    size = number(page.locator(".detail dd").inner_text())
    assert size == pytest.approx(path[0].x.norm().item(), rel=6e-4)
    assert page.locator(".raised li, .lowered li").count() == 0


def points(page: Page | Locator, chart: int, selector: str) -> list[tuple[float, float]]:
    """The corners of a line in a chart: pixels across, and the value by the numbers at the axis."""
    plot = page.locator("svg.plot").nth(chart)
    ticks = sorted(
        (
            float(text.get_attribute("y") or "") - 4,
            percent(said)[0] if "%" in said else number(said),
        )
        for text in plot.locator("text[text-anchor=end]").all()
        if (said := text.text_content() or "")
    )
    (y, high), (y_low, low) = ticks[0], ticks[-1]
    path = plot.locator(selector).get_attribute("d") or ""
    found = [(float(x), float(up)) for x, up in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]
    if chart:  # logarithmic
        high, low = math.log(high), math.log(low)
    values = [(x, high + (up - y) * (low - high) / (y_low - y)) for x, up in found]
    return [(x, math.exp(value) if chart else value) for x, value in values]


def test_charts_stand_where_the_numbers_say(show):
    found = traced()
    page = show(ResidualView(found, WORDS, position=1))
    path = walk(found, 1)
    for size, step in zip(points(page, 0, ".stream"), path, strict=True):
        assert size[1] == pytest.approx(step.x.norm().item(), rel=0.01)
    for p, step in zip(points(page, 1, ".stream"), path, strict=True):
        assert p[1] == pytest.approx(max(1e-5, step.p[IDS[0, 2]].item()), rel=0.02)
    bars = page.locator("svg.plot").first.locator(".bar")
    assert bars.count() == STEPS - 1
    assert bars.nth(1).get_attribute("class") == "bar feed-forward"
    line = page.locator("svg.plot").first.locator(".stream").get_attribute("d") or ""
    foot = float(re.findall(r"[\d.]+", bars.first.get_attribute("d") or "")[1])
    unit = path[0].x.norm().item() / (foot - float(re.findall(r" ([\d.]+)", line)[0]))  # a pixel
    for bar, step in zip(bars.all(), path[1:], strict=True):
        (top,) = re.findall(r"V([\d.]+)H", bar.get_attribute("d") or "")
        assert unit * (foot - float(top)) == pytest.approx(step.added.norm().item(), rel=0.02)
    rings = page.locator("circle").evaluate_all("nodes => nodes.map((n) => n.classList.length)")
    ranks = [1 + int((step.p > step.p[IDS[0, 2]]).sum()) for step in path]
    assert {1, 2} <= {*ranks}
    assert [count == 2 for count in rings] == [rank == 1 for rank in ranks]


def test_a_click_in_a_chart_chooses_the_step(show):
    found = traced()
    page = show(ResidualView(found, WORDS, position=3))
    path = walk(found, 3)
    for chart, step in ((0, 1), (1, 4), (1, 6)):
        x, _ = points(page, chart, ".stream")[step]
        plot = page.locator("svg.plot").nth(chart)
        wide = plot.evaluate("node => node.getBoundingClientRect().width")
        plot.click(position={"x": x * wide / 350, "y": 90})
        check_step(page, path[step])


def test_the_picture_of_an_addition_has_the_true_angle(show):
    found = traced()
    page = show(ResidualView(found, WORDS, position=3, step=1))
    for step in walk(found, 3)[1:]:
        arrows = [
            [float(x) for x in re.findall(r"-?[\d.]+", arrow.get_attribute("d") or "")]
            for arrow in page.locator(".plane .arrow").all()
        ]
        vectors = [torch.tensor([u - x, y - v]) for x, y, u, v in arrows]
        before, added, after = vectors
        scale = step.before.norm() / before.norm()
        for drawn, true in ((added, step.added), (after, step.x)):
            assert (drawn.norm() * scale).item() == pytest.approx(true.norm().item(), rel=0.02)
        assert angle(added, before) == pytest.approx(angle(step.added, step.before), abs=2)
        page.locator(".lens [aria-pressed=true]").press("ArrowDown")


def test_two_tokens_beside_each_other(show):
    found = traced()
    page = show(ResidualView(found, WORDS, position=1))
    page.get_by_role("button", name="Compare with another token").click()
    assert "Now choose another token." in page.locator(".sentence").inner_text()
    assert page.locator(".beside").count() == 0
    page.get_by_role("option").nth(4).click()
    assert "Dashed: token 1, “␣w7”." in page.locator(".sentence").inner_text()
    for position, line in ((4, ".stream"), (1, ".beside")):
        path, coming = walk(found, position), IDS[0, position + 1]
        for size, p, step in zip(points(page, 0, line), points(page, 1, line), path, strict=True):
            assert size[1] == pytest.approx(step.x.norm().item(), rel=0.01)
            assert p[1] == pytest.approx(max(1e-5, step.p[coming].item()), rel=0.02)
    page.get_by_role("option").nth(6).click()  # the last: nothing is known to come
    assert page.locator("svg.plot").nth(1).locator(".beside, .stream").count() == 1
    page.get_by_role("button", name="Forget token 1").click()
    assert page.locator(".beside").count() == 0


HOSTILE = ["<script>alert(1)</script>", "שלום", "🙂 & <b>", "\n", "", "\u202eabc", "\x00", "  x "]


def test_hostile_tokens_are_text(show):
    ids = torch.arange(len(HOSTILE))[None]
    words = HOSTILE + WORDS[len(HOSTILE) :]
    page = show(ResidualView(traced(ids), words, position=0))
    chips = page.get_by_role("option").all_text_contents()
    assert chips == [
        *HOSTILE[:3],
        *("↵", "∅", "\ufffdabc", "␀", "␣␣x␣"),
    ]
    for _ in ids[0]:
        page.locator(".chip[aria-selected=true]").press("ArrowRight")
    assert page.locator(".ug script").count() == page.locator(".ug bdi b").count() == 0


def test_a_pause_is_spoken(show):
    page = show(ResidualView(traced(), WORDS, position=3))
    status = page.locator("[role=status]")
    page.wait_for_timeout(700)
    assert status.inner_text() == ""  # nothing has happened yet
    page.get_by_role("button", name="block 1 attention").click()
    status.filter(has_text="After block 1 attention: ␣w").wait_for(state="attached")
    rows = page.locator(".lens tr.now td").all_inner_texts()
    assert status.inner_text().endswith(f"next token {rows[0]}, rank {rows[1]}.")


def test_traits_set_in_python_and_links(show):
    first, second = ResidualView(traced(), WORDS), ResidualView(traced(IDS.flip(1)), WORDS)
    first.position, first.step, first.other = 2, 3, 4
    page = show(first, second, ipywidgets.jslink((first, "position"), (second, "position")))
    one, other = page.locator(".ug").all()
    check_step(one, walk(traced(), 2)[3])
    assert "Dashed: token 4" in one.locator(".sentence").inner_text()
    one.get_by_role("option").nth(1).click()
    check_table(one, traced(), 1)
    check_table(other, traced(IDS.flip(1)), 1)


def test_drawn_before_it_is_in_the_page_and_taken_away(show):
    page, found = show(ResidualView(traced(IDS.flip(1)), WORDS)), traced()
    widget = ResidualView(found, WORDS, position=2)
    own = ("_ids", "_numbers")
    state = {k: list(v) if k in own else v for k, v in widget.get_state().items() if k != "_esm"}
    page.evaluate(
        f"""async ([source, state]) => {{
          for (const name of {list(own)})
            state[name] = new DataView(Uint8Array.from(state[name]).buffer);
          await ({LATER})([source, state]);
        }}""",
        [widget._esm, {k: v for k, v in state.items() if k not in ("layout", "_css")}],
    )
    check_table(page, found, 2)
    assert page.evaluate("heard.size") > 0
    page.evaluate("stop()")
    assert page.evaluate("heard.size") == 0
    assert page.locator(".ug [id]").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_stand_out(show, theme):
    page = show(ResidualView(traced(), WORDS, position=2), theme=theme)
    ground = luminance(
        page.locator(".ug").evaluate("node => getComputedStyle(node).backgroundColor")
    )
    for selector, name, ratio in (
        (".stream", "stroke", 3),
        (".bar.attention", "fill", 3),
        (".bar.feed-forward", "fill", 3),
        (".lens small", "color", 4.5),
        (".ring", "stroke", 3),
        (".lens thead th", "color", 4.5),
    ):
        node = page.locator(selector).first
        colour = node.evaluate(f"node => getComputedStyle(node).{name}")
        low, high = sorted((luminance(colour), ground))
        assert (high + 0.05) / (low + 0.05) >= ratio, selector


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_saved_picture(show, theme):
    found = traced()
    page = show(ResidualView(found, [HOSTILE[0], *WORDS[1:]], position=3), theme=theme)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as SVG").click()
    assert saved.value.suggested_filename == "residual-view.svg"
    text = saved.value.path().read_text("utf-8")
    drawn = re.findall(r">([^<>]+)</text>", text)
    assert drawn[0] == page.locator(".sentence").inner_text()
    for row in page.locator(".lens tbody tr").all():
        name = row.get_by_role("button").get_attribute("aria-label")
        at = drawn.index(name)
        assert drawn[at + 1 : at + 3] == row.locator("td").all_inner_texts()[:2]
    assert "<script" not in text
    assert "NaN" not in text
    ink = "rgb(230, 235, 242)" if theme == "dark" else "rgb(27, 36, 48)"
    assert f'fill="{ink}"' in text


def test_fits_a_phone(show):
    found = traced()
    words = [f" a rather long token {i}" for i in range(len(WORDS))]
    page = show(ResidualView(found, words, position=2), width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("option").nth(4).tap()
    assert page.locator("[data-number=next]").inner_text() == (
        page.locator(".lens tr.now td").first.inner_text()
    )
    tops = page.locator("svg.plot").evaluate_all("n => n.map((x) => x.getBoundingClientRect().y)")
    assert tops[1] > tops[0] + 100  # one below the other


def test_one_token_and_no_room_to_move(show):
    page = show(ResidualView(traced(IDS[:, :1]), WORDS))
    assert "Nothing is known to come next." in page.locator(".sentence").inner_text()
    page.get_by_role("option").press("ArrowRight")
    check_table(page, traced(IDS[:, :1]), 0)
    assert "NaN" not in page.locator(".ug").inner_html()


def test_an_update_is_quick(show):
    """Eight milliseconds of script: half a frame."""
    gpt = GPT(GPTConfig(97, 64, 12, 5, 3, 17), generator=torch.Generator().manual_seed(0)).eval()
    found = trace(gpt, torch.arange(64)[None])
    page = show(ResidualView(found, [f" token {i}" for i in range(97)], position=0))
    chips = page.get_by_role("listbox")
    step = "node.children[(7 * n) % 64].click()"
    assert script_time(page, chips, step, 100) <= 8
