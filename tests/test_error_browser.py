"""Predictions read one by one: the page after real clicks and keys, against plain Python."""

import math
import re
from typing import Any

import ipywidgets
import numpy as np
import pytest
import torch
from driving import LATER, number, script_time
from playwright.sync_api import Locator, Page
from scipy.stats import binomtest
from underglass.widgets import ErrorBrowser

EDGES = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1]
SLICES = ["negation", "long", "<b>&"]
WORDS = ["not", "Nothing", "a film", "İstanbul", "dull", "brilliant"]
HOSTILE = ["<script>alert(1)</script>", "שלום עולם", "🙂 & <b>not</b>", "  ", "‮ not evil"]
NAMES = ("bad", "good")

pytestmark = pytest.mark.browser


def made(n: int = 47, seed: int = 0) -> list[dict[str, Any]]:
    """Predictions of which about three in four are right, some of them exactly on an edge."""
    draw = np.random.default_rng(seed)
    found = []
    for i in range(n):
        label = int(draw.integers(2))
        sure = float(draw.choice([*EDGES[1:], *draw.uniform(0.5, 1, 20)]))
        right = draw.random() < 0.75
        text = " ".join([*draw.choice(WORDS, 3), f"number {i}"])
        slices = [name for name in SLICES if draw.random() < 0.4]
        probability = sure if right == bool(label) else 1 - sure
        note = f"note {i}" if i % 2 else ""
        row = {"text": text, "label": label, "probability": probability}
        found.append(row | {"slices": slices, "note": note})
    return found


def guess(row: dict) -> int:
    return int(row["probability"] > 0.5)


def right(row: dict) -> bool:
    return guess(row) == row["label"]


def sure(row: dict) -> float:
    return max(row["probability"], 1 - row["probability"])


def truth(row: dict) -> float:
    return row["probability"] if row["label"] else 1 - row["probability"]


ORDERS = {
    "surest errors first": truth,
    "surest first": lambda row: -sure(row),
    "least sure first": sure,
    "as given": lambda row: 0,
}


def within(row: dict, least: float, most: float) -> bool:
    return least <= sure(row) and (sure(row) < most or most >= 1)


def matching(
    rows: list[dict], *, part="", label=None, least=0.5, most=1.0, search="", **_
) -> list[dict]:
    return [
        row
        for row in rows
        if (not part or part in row["slices"])
        and label in (None, row["label"])
        and within(row, least, most)
        and search.lower() in row["text"].lower()
    ]


def interval(rows: list[dict]) -> tuple[float, float]:
    """Wilson's, by scipy."""
    found = binomtest(sum(map(right, rows)), len(rows)).proportion_ci(method="wilson")
    return found.low, found.high


def values(page: Page | Locator, place: str) -> list[float]:
    """Numbers with all their digits; what is shown agrees with each."""
    nodes = page.locator(f"{place} [data-value]")
    exact = [float(v) for v in nodes.evaluate_all("all => all.map((x) => x.dataset.value)")]
    for value, text in zip(exact, nodes.all_inner_texts(), strict=True):
        if text.endswith("%"):
            assert number(text[:-2]) == pytest.approx(100 * value, abs=0.0501)
        elif not text.startswith(">"):
            assert number(text.split()[0]) == pytest.approx(value, abs=0.00501)
    return exact


def listed(page: Page) -> list[str]:
    """The texts of all pages of the list."""
    if page.locator(".list li").count():
        page.locator("[aria-selected=true]").press("Home")
    found = page.locator(".list .words").all_inner_texts()
    on = page.get_by_role("button", name="Page →")
    while on.get_attribute("aria-disabled") == "false":
        on.click()
        found += page.locator(".list .words").all_inner_texts()
    return found


def parts(rows: list[dict]) -> list[str]:
    """The slices in the order in which they first appear."""
    return list(dict.fromkeys(name for row in rows for name in row["slices"]))


def texts(rows: list[dict]) -> list[str]:
    return [row["text"] for row in rows]


def check(page: Page, rows: list[dict], outcome="wrong", order="surest errors first", **filters):
    """Counts, accuracy and its interval of what matches, and the list, page by page."""
    found = matching(rows, **filters)
    hits = sum(map(right, found))
    wanted = [len(found), hits, hits / len(found), *interval(found)]
    assert values(page, ".summary") == pytest.approx(wanted, abs=1e-12)
    keep = {"all": lambda row: True, "right": right, "wrong": lambda row: not right(row)}[outcome]
    assert listed(page) == texts(sorted(filter(keep, found), key=ORDERS[order]))
    counts = page.get_by_role("group", name="which are listed").get_by_role("button")
    said = [f"all {len(found)}", f"right {hits}", f"wrong {len(found) - hits}"]
    assert counts.all_inner_texts()[:3] == said


def choose(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def show_only(page: Page, name: str) -> None:
    page.get_by_role("group", name="which are listed").get_by_role("button", name=name).click()


def select(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label, exact=True).select_option(label=option)


def line(page: Page, i: int) -> list[str]:
    return page.locator(".compared:visible tbody tr").nth(i).locator("td").all_inner_texts()


def check_line(page: Page, i: int, rows: list[dict]) -> None:
    """A line of the table of accuracies: its numbers and its marks on the axis."""
    count, wrong, share, reach, claim = line(page, i)[:5]
    assert (int(count), int(wrong)) == (len(rows), sum(not right(row) for row in rows))
    if not rows:
        assert (share, reach, claim) == ("–", "–", "–")
        return
    shares = [1 - int(wrong) / len(rows), *interval(rows)]
    numbers = [number(x) for x in re.findall(r"[\d.]+", f"{share} {reach}")]
    assert numbers == pytest.approx([100 * x for x in shares], abs=0.0501)
    mean = sum(map(sure, rows)) / len(rows)
    assert claim == "> 0.999" or number(claim) == pytest.approx(mean, abs=0.000501)
    table = page.locator(".compared:visible")
    low = number(table.locator(".ends span").first.inner_text()[:-2]) / 100
    lefts = (
        table.locator("tbody tr")
        .nth(i)
        .locator("i")
        .evaluate_all("all => all.slice(1).map((mark) => parseFloat(mark.style.left))")
    )
    width = (
        table.locator("tbody tr")
        .nth(i)
        .locator(".reach")
        .evaluate("mark => parseFloat(mark.style.width)")
    )
    drawn = [low + (1 - low) * x / 100 for x in (lefts[2], lefts[0], lefts[0] + width, lefts[1])]
    assert drawn == pytest.approx([*shares, max(low, mean)], abs=1e-4)


def test_filters_one_after_another(show):
    rows = made()
    page = show(ErrorBrowser(rows, classes=NAMES))
    check(page, rows)
    select(page, "order", "least sure first")
    check(page, rows, order="least sure first")
    show_only(page, "right")
    select(page, "order", "surest first")
    check(page, rows, "right", "surest first")
    select(page, "slice", "<b>&")
    check(page, rows, "right", "surest first", part="<b>&")
    show_only(page, "all")
    select(page, "order", "as given")
    select(page, "labelled", "good")
    check(page, rows, "all", "as given", part="<b>&", label=1)
    select(page, "slice", "every sentence")
    page.get_by_role("searchbox").press_sequentially("NOT")
    check(page, rows, "all", "as given", label=1, search="not")
    assert "Nothing" in " ".join(texts(matching(rows, label=1, search="not")))
    page.get_by_role("searchbox").fill("not ")
    check(page, rows, "all", "as given", label=1, search="not ")
    choose(page, "Reset")
    check(page, rows)
    assert page.get_by_role("searchbox").input_value() == ""


def test_ranges_of_confidence(show):
    """A prediction that lies on an edge belongs to the range above it; one of 1 to the last."""
    rows = made()
    assert any(sure(row) in EDGES[1:-1] for row in rows)
    assert any(sure(row) == 1 for row in rows)
    page = show(ErrorBrowser(rows))
    show_only(page, "all")
    choose(page, "by confidence")
    for i, (least, most) in enumerate(zip(EDGES, EDGES[1:], strict=False)):
        check_line(page, i + 1, matching(rows, least=least, most=most))
    check_line(page, 0, rows)
    choose(page, "0.9 to 0.95")
    check(page, rows, "all", least=0.9, most=0.95)
    chosen = page.locator(".compared:visible [aria-pressed=true]")
    assert chosen.all_inner_texts() == ["0.9 to 0.95"]
    check_line(page, 0, rows)  # the other ranges are still compared
    select(page, "to", "1")
    check(page, rows, "all", least=0.9)
    select(page, "to", "0.6")  # leads the other end out of the way
    check(page, rows, "all", most=0.6)
    select(page, "confidence from", "0.99")
    check(page, rows, "all", least=0.99)
    assert chosen.count() == 0
    choose(page, "0.99 to 0.995")
    choose(page, "0.99 to 0.995")  # again: off
    check(page, rows, "all")


def test_accuracy_of_every_slice(show):
    rows = made(97)
    page = show(ErrorBrowser(rows, classes=NAMES))
    tried: list[dict[str, Any]] = [{}, {"search": "dull"}, {"search": "dull", "label": 0}]
    for filters in tried:
        page.get_by_role("searchbox").fill(filters.get("search", ""))
        select(page, "labelled", "bad" if "label" in filters else "either way")
        check_line(page, 0, matching(rows, **filters))
        for i, part in enumerate(parts(rows)):
            check_line(page, i + 1, matching(rows, part=part, **filters))
    page.locator(".compared:visible").get_by_role("button", name="long").click()
    check(page, rows, search="dull", label=0, part="long")
    for i, part in enumerate(["", *parts(rows)]):  # the other slices are still compared
        check_line(page, i, matching(rows, part=part, **tried[2]))
    choose(page, "by confidence")
    check_line(page, 0, matching(rows, part="long", **tried[2]))
    choose(page, "by slice")
    page.locator(".compared:visible").get_by_role("button", name="long").click()
    check(page, rows, search="dull", label=0)


def test_keys_and_buttons_walk(show):
    rows = made()
    wrong = sorted((row for row in rows if not right(row)), key=truth)
    assert len(wrong) > 9
    page = show(ErrorBrowser(rows))
    option = page.locator("[aria-selected=true]")
    option.focus()
    for key, place in [
        ("ArrowUp", 0),
        ("ArrowDown", 1),
        ("PageDown", 9),
        ("ArrowUp", 8),
        ("ArrowUp", 7),
        ("End", len(wrong) - 1),
        ("ArrowDown", len(wrong) - 1),
        ("Home", 0),
    ]:
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.getAttribute('aria-selected')") == "true"
        assert option.get_attribute("aria-posinset") == str(place + 1)
        assert option.get_attribute("aria-setsize") == str(len(wrong))
        assert page.locator(".text").inner_text() == wrong[place]["text"]
    choose(page, "Next →")
    choose(page, "Next →")
    choose(page, "← Previous")
    assert page.locator(".text").inner_text() == wrong[1]["text"]
    assert page.locator(".reader .where").inner_text() == f"2 of {len(wrong)}"
    page.locator(".list li").nth(5).click()
    assert page.locator(".text").inner_text() == wrong[5]["text"]
    choose(page, "Page →")
    assert page.locator(".text").inner_text() == wrong[8]["text"]
    seen = {0, 1, 9, 8, 7, len(wrong) - 1, 2, 5}
    assert f"opened {len(seen)} of {len(wrong)} errors" in page.locator(".reader").inner_text()


def test_the_open_sentence(show):
    rows = made()
    page = show(ErrorBrowser(rows, classes=NAMES))
    show_only(page, "all")
    select(page, "order", "as given")
    for row in rows[:12]:
        assert page.locator(".text").inner_text() == row["text"]
        said = page.locator(".reader").inner_text()
        verdict = "Right" if right(row) else "Wrong"
        assert f"{verdict}: predicted {NAMES[guess(row)]} with confidence" in said
        assert f"labelled {NAMES[row['label']]}." in said
        loss = -math.log(truth(row)) if truth(row) else math.inf
        exact = [
            float(x)
            for x in page.locator(".reader [data-value]").evaluate_all(
                "all => all.map((x) => x.dataset.value)"
            )
        ]
        assert exact == pytest.approx([sure(row), loss])
        for part in SLICES:
            about = page.locator(".reader .soft").first.inner_text()
            assert (part in about) == (part in row["slices"])
            assert about.endswith(row["note"])
        bar = page.locator(".reader .scale i").evaluate(
            "b => [parseFloat(b.style.left), parseFloat(b.style.width), b.className]"
        )
        low, high = sorted([0.5, row["probability"]])
        assert bar[:2] == pytest.approx([100 * low, 100 * (high - low)], abs=1e-3)
        assert bar[2] == verdict.lower()
        choose(page, "Next →")


def test_reasons_are_counted(show):
    rows = made()
    count = sum(not right(row) for row in rows)
    page = show(ErrorBrowser(rows, reasons=["irony", "<i>"]))
    group = page.get_by_role("group", name="reason of this error")
    group.get_by_role("button", name="irony").click()
    assert (
        f"opened 1 of {count} errors, and given 1 a reason" in page.locator(".reader").inner_text()
    )
    choose(page, "Next →")
    assert group.locator("[aria-pressed=true]").count() == 0
    group.get_by_role("button", name="irony").click()
    choose(page, "Next →")
    group.get_by_role("button", name="<i>").click()
    assert group.get_by_role("button").all_inner_texts() == ["irony 2", "<i> 1"]
    group.get_by_role("button", name="irony").click()  # another reason takes its place
    assert group.get_by_role("button").all_inner_texts() == ["irony 3", "<i>"]
    group.get_by_role("button", name="irony").click()  # and the same again takes it back
    assert group.get_by_role("button").all_inner_texts() == ["irony 2", "<i>"]
    told = page.locator(".list .told").all_inner_texts()
    assert [text.endswith("· irony") for text in told[:4]] == [True, True, False, False]
    assert (
        f"opened 3 of {count} errors, and given 2 a reason" in page.locator(".reader").inner_text()
    )
    show_only(page, "right")
    assert not group.is_visible()  # what is right needs none


def weights(seed: int, n: int) -> torch.Tensor:
    scores = torch.randn(2, 3, n, n, generator=torch.Generator().manual_seed(seed))
    return (2 * scores.double()).softmax(-1)


def numbers(page: Page, which: int) -> torch.Tensor:
    """The table of one of the two attention matrices."""
    place = page.locator(".av-numbers").nth(which).locator("tbody td")
    place.first.wait_for()  # it is drawn when the browser has told that it was opened
    cells = place.all_inner_texts()
    n = math.isqrt(len(cells))
    return torch.tensor([number(cell) for cell in cells]).double().reshape(n, n)


def test_attention_before_and_after(show):
    rows = made()
    wrong = sorted(
        (i for i, row in enumerate(rows) if not right(row)), key=lambda i: truth(rows[i])
    )
    held = {
        at: ([f"t{k}" for k in range(n)], weights(at, n), weights(at + 99, n))
        for at, n in ((wrong[0], 5), (wrong[2], 7))
    }
    page = show(ErrorBrowser(rows, attention=held))
    button = page.get_by_role("button", name="Attention before and after")
    button.click()
    for at in (wrong[0], wrong[2]):
        page.locator(".av-details summary").click()
        _, *both = held[at]
        for which, title in enumerate(("Before fine-tuning", "After fine-tuning")):
            assert (
                page.locator(".av-enlarged .av-sentence").nth(which).inner_text().startswith(title)
            )
            shown = numbers(page, which)
            wanted = both[which][1].mean(0)  # of the last layer, over its heads
            torch.testing.assert_close(shown, wanted, atol=0.009, rtol=0)
        choose(page, "Next →")
        assert page.locator(".av").count() == 0
        assert not button.is_visible()
        choose(page, "Next →")
    show_only(page, "attention 2")
    assert page.locator(".list li").count() == 2
    summary = values(page, ".summary")
    assert summary[0] == len(rows)  # chosen to be looked at, not a sample to be measured
    button.click()
    assert page.locator(".av").count() == 0


def test_hostile_texts(show):
    rows = [
        {"text": text, "label": 0, "probability": 0.9, "slices": [text + "x"], "note": text}
        for text in HOSTILE
    ]
    page = show(ErrorBrowser(rows, classes=HOSTILE[:2], reasons=HOSTILE[:3]))
    wanted = [text.strip() or "(empty)" for text in HOSTILE]
    assert [text.strip() for text in page.locator(".list .words").all_inner_texts()] == wanted
    page.get_by_role("searchbox").fill("NOT")
    assert page.locator(".list mark").all_inner_texts() == ["not", "not"]
    page.get_by_role("searchbox").fill("<b>not")
    assert page.locator(".text mark").inner_text() == "<b>not"
    assert page.locator(".text").inner_text() == HOSTILE[2]
    assert page.locator(".ug script, .ug bdi b").count() == 0
    assert page.locator(".ug [id]").count() == 0


def test_a_capital_that_has_two_small_letters(show):
    """Its small letters are found, and no other letter is marked in their place."""
    page = show(ErrorBrowser([{"text": "İİ not", "label": 0, "probability": 0.9}]))
    page.get_by_role("searchbox").fill("not")
    assert page.locator(".text").inner_text() == "İİ not"
    assert set(page.locator("mark").all_inner_texts()) <= {"not"}


def test_nothing_matches(show):
    page = show(ErrorBrowser(made()))
    page.get_by_role("searchbox").fill("xyzzy")
    assert page.locator(".summary").inner_text() == "No sentence matches."
    assert page.locator(".list li").count() == 0
    assert not page.locator(".reader").is_visible()
    for name in ("Page →", "← Page"):  # lead nowhere
        page.get_by_role("button", name=name).dispatch_event("click")
    choose(page, "by confidence")
    assert line(page, 0)[:5] == ["0", "0", "–", "–", "–"]
    assert "NaN" not in page.locator(".ug").inner_html()
    with page.expect_download() as saved:
        choose(page, "Save as SVG")
    assert "NaN" not in saved.value.path().read_text("utf-8")
    page.get_by_role("searchbox").fill("")
    assert page.locator(".reader").is_visible()


def test_one_prediction_without_slices(show):
    row = {"text": "Not bad.", "label": 1, "probability": 1}
    page = show(ErrorBrowser([row]))
    assert page.get_by_role("combobox", name="slice").count() == 0
    show_only(page, "all 1")
    check_line(page, 0, [row | {"slices": []}])
    assert page.locator(".told").inner_text() == "positive 1.000"


def test_what_is_not_certain_reads_so(show):
    rows = [{"text": str(p), "label": 1, "probability": p} for p in (0.99949, 0.9996, 1.0)]
    page = show(ErrorBrowser(rows))
    show_only(page, "all")
    said = ["positive 0.999", "positive > 0.999", "positive 1.000"]
    assert page.locator(".told").all_inner_texts() == said


def test_traits_set_in_python_and_links(show):
    rows = made()
    first, second = ErrorBrowser(rows), ErrorBrowser(rows)
    first.outcome, first.slice, first.label, first.search = "all", "long", 1, "dull"
    first.least, first.most, first.order, first.group = 0.55, 0.97, "given", "confidence"
    found = matching(rows, part="long", label=1, search="dull", least=0.55, most=0.97)
    first.opened = rows.index(found[1])
    page = show(first, second, ipywidgets.jslink((first, "slice"), (second, "slice")))
    one, other = page.locator(".ug-errors").all()
    assert one.locator(".list .words").all_inner_texts() == texts(found)[:8]
    assert one.locator(".text").inner_text() == found[1]["text"]
    assert other.get_by_role("combobox", name="slice").input_value() == "long"
    one.get_by_role("combobox", name="slice").select_option(label="negation")
    assert values(other, ".summary")[0] == len(matching(rows, part="negation"))


def test_pause_is_spoken(show):
    rows = made()
    wrong = sorted((row for row in rows if not right(row)), key=truth)
    page = show(ErrorBrowser(rows))
    page.wait_for_timeout(700)
    status = page.locator("[role=status]")
    assert status.inner_text() == ""  # nothing has happened yet
    choose(page, "Next →")
    status.filter(has_text="2 of").wait_for(state="attached")
    told = status.inner_text()
    assert wrong[1]["text"] in told
    assert f"{len(rows)} sentences match" in told


def test_drawn_before_it_is_in_the_page_and_taken_away(show):
    page, rows = show(ErrorBrowser(made(5))), made(seed=3)
    widget = ErrorBrowser(rows)
    state = {k: v for k, v in widget.get_state().items() if k not in ("_esm", "_css")}
    packed = {k: list(v) for k, v in state.items() if isinstance(v, bytes)}
    page.evaluate(
        f"""async ([source, state, names]) => {{
          for (const name of names) state[name] = new DataView(Uint8Array.from(state[name]).buffer);
          await ({LATER})([source, state]);
        }}""",
        [widget._esm, {k: v for k, v in state.items() if k != "layout"} | packed, list(packed)],
    )
    assert values(page, ".summary")[:2] == [len(rows), sum(map(right, rows))]
    found = texts(sorted((row for row in rows if not right(row)), key=truth))
    assert page.locator(".list .words").all_inner_texts() == found[:8]
    assert page.evaluate("heard.size") > 0
    page.evaluate("stop()")
    assert page.evaluate("heard.size") == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_saved_picture(show, theme):
    rows = made()
    page = show(ErrorBrowser(rows), theme=theme)
    with page.expect_download() as saved:
        choose(page, "Save as SVG")
    text = saved.value.path().read_text("utf-8")
    drawn = re.findall(r">([^<>]+)</text>", text)
    for name in SLICES:
        found = matching(rows, part=name)
        low, high = interval(found)
        share = sum(map(right, found)) / len(found)
        said = f"{100 * share:.1f} % ({100 * low:.1f} % to {100 * high:.1f} %)"
        assert said in [x.replace("\u00a0", " ") for x in drawn]
        assert name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in drawn
    low = number(drawn[-3][:-2]) / 100
    circles = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', text)]
    wanted = [
        sum(map(right, some)) / len(some)
        for some in (rows, *(matching(rows, part=name) for name in parts(rows)))
    ]
    assert [low + (1 - low) * x / 300 for x in circles] == pytest.approx(wanted, abs=1e-4)
    assert page.locator("svg.picture").count() == 0
    ink = "rgb(230, 235, 242)" if theme == "dark" else "rgb(27, 36, 48)"
    assert f'fill="{ink}"' in text


def test_fits_a_phone(show):
    rows = made()
    for row in rows:
        row["text"] = row["text"] + " word" * 60 + " longer" + "r" * 80
    page = show(ErrorBrowser(rows, classes=("extraordinarily bad", "good" * 9)), width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator(".list li").count() == 5
    check(page, rows)
    page.locator(".list li").first.tap()
    check_line(page, 1, matching(rows, part=parts(rows)[0]))
    for place in (".plot:visible", ".told", ".text", ".choices"):
        for box in [node.bounding_box() for node in page.locator(place).all()]:
            assert box
            assert box["x"] + box["width"] <= 360


def test_an_update_takes_at_most_eight_milliseconds(show):
    """1,500 sentences: every letter typed, every filter and every step."""
    rows = made(1500)
    for i, row in enumerate(rows):
        row["text"] = f"{row['text']} and so on, sentence after sentence, {i * 7919 % 104729} " * 2
    page = show(ErrorBrowser(rows))
    search = page.get_by_role("searchbox")
    typed = """node.value = ["not", "no", "number 1", "dull", "", "so on"][n % 6];
      node.dispatchEvent(new Event("input"))"""
    took = [script_time(page, search, typed, 60)]
    show_only(page, "all")
    select_ = "node.selectedIndex = n % 4; node.dispatchEvent(new Event('change'))"
    for name in ("slice", "order", "confidence from"):
        took.append(script_time(page, page.get_by_role("combobox", name=name), select_, 60))
    step = "node.click()"
    took.append(script_time(page, page.get_by_role("button", name="Next →"), step, 60))
    print(f"milliseconds: {took}")
    assert max(took) <= 8
