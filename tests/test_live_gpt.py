"""LiveGPT in a real page: what it shows after real keys and clicks, against PyTorch."""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from driving import script_time
from pages import opened, widget_page
from playwright.sync_api import Browser, Locator, Page, expect
from underglass import pretrained
from underglass.generation import next_token_logits
from underglass.models import residual
from underglass.quantization import quantized
from underglass.tokenizers import BPE
from underglass.widgets import LiveGPT

pytestmark = pytest.mark.browser

MODEL = quantized(pretrained.load("speeches_gpt"))
BPE_ = pretrained.tokenizer("speeches_gpt", BPE)
START = BPE_.special["<|endoftext|>"]
TEXT = "The state of the Union is"
NEAR: dict[str, Any] = {"rel": 2e-3, "abs": 6e-5}  # logits agree to 0.001; four digits are shown
HOSTILE = "<script>alert(1)</script> שלום 🙂 <b>&amp;"
PATIENCE = 60_000  # milliseconds
SHORT = "<b>שלום 🙂 &"


@pytest.fixture
def show(show) -> Iterator[Any]:
    """As ever, but with patience: a machine that is busy takes its time to load a model."""

    def patiently(*widgets, **options) -> Page:
        page = show(*widgets, **options)
        page.set_default_timeout(PATIENCE)
        return page

    expect.set_options(timeout=PATIENCE)
    yield patiently
    expect.set_options(timeout=5_000)  # what it is unless set


def logits_of(ids: list[int]) -> torch.Tensor:
    """What comes after each of these tokens, [seq vocab_size]."""
    with torch.no_grad():
        return MODEL(torch.tensor([ids]))[0]


def after(text: str) -> list[int]:
    return [START, *BPE_.encode(text)]


def shown_chance(text: str) -> float:
    """A probability as it is shown; "< 0.0001" is half of that, and off by as much."""
    found = re.search(r"([<>]?)\u2009?(\d\.\d+)$", text)
    assert found, text
    value = float(found[2])
    return {"<": value / 2, ">": (1 + value) / 2}.get(found[1], value)


def tokens(page: Page) -> list[tuple[str, float]]:
    """The text as its token strip says it."""
    labels = page.locator(".tokens [role=option]:not(.next)").evaluate_all(
        "(nodes) => nodes.map((node) => node.getAttribute('aria-label'))"
    )
    found = [
        re.fullmatch(r"(?s)token (\d+), “(.*)”, probability (.+?)(, drawn .*)?", x) for x in labels
    ]
    assert [int(f[1]) for f in found if f] == list(range(1, len(labels) + 1))
    return [(f[2], shown_chance(f[3])) for f in found if f]


def bars(page: Page) -> list[dict[str, Any]]:
    """The rows of the distribution, as they are said."""
    labels = page.locator(".bars [role=option]").evaluate_all(
        "(nodes) => nodes.map((node) => node.getAttribute('aria-label'))"
    )
    found = []
    for label in labels:
        said = re.fullmatch(
            r"(?s)“(.*)”, rank (\d+), model ([<>]?\s?\S+), (?:drawn (.+)|cut by (.+))", label
        )
        assert said, label
        drawn = shown_chance(said[4]) if said[4] else 0.0
        found.append(
            {
                "name": said[1],
                "rank": int(said[2]),
                "own": shown_chance(said[3]),
                "drawn": drawn,
                "cut": said[5],
            }
        )
    return found


def value(page: Page, kind: str) -> float:
    return float(page.locator(f"[data-number='{kind}']").get_attribute("data-value") or "nan")


def written(page: Page) -> str:
    return page.locator("textarea").input_value()


def load(page: Page) -> None:
    page.get_by_role("button", name="Load the model").click()
    expect(page.locator(".loader")).to_be_hidden(timeout=60_000)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def set_slider(page: Page, name: str, at: float) -> None:
    page.get_by_label(name, exact=True).fill(str(at))


def visible(i: int) -> str:
    """The name of a token as the page writes it: a space is seen."""
    text = BPE_.token(i).decode(errors="backslashreplace")
    return re.sub("^ +| +$", lambda m: "␣" * len(m[0]), text).replace("\n", "↵")


def check_text(page: Page, ids: list[int]) -> None:
    """Tokens, probabilities, and their mean are those of PyTorch."""
    chances = logits_of(ids).double().softmax(-1)[range(len(ids) - 1), ids[1:]]
    found = tokens(page)
    assert [name for name, _ in found] == [visible(i) for i in ids[1:]]
    for (_, shown), chance in zip(found, chances.tolist(), strict=True):
        assert shown == pytest.approx(chance, **NEAR)
    bits = -chances.log2()
    assert value(page, "tokens") == len(bits)
    assert value(page, "bits") == pytest.approx(bits.mean().item(), abs=2e-3)
    size = len(BPE_.decode(ids[1:]).encode())
    assert value(page, "per-byte") == pytest.approx(bits.sum().item() / size, abs=2e-3)


def check_bars(page: Page, logits: torch.Tensor, **settings: Any) -> None:
    """The rows are the likeliest tokens, before and after the sliders, as the library has it."""
    own = logits.double().softmax(-1)
    cut = next_token_logits(logits, **settings).double().softmax(-1)
    order = logits.argsort(descending=True, stable=True).tolist()
    for row in bars(page)[:10]:
        i = order[row["rank"] - 1]
        same = [k for k in order[:60] if abs(logits[k] - logits[i]) < 2e-3]  # may change places
        assert row["name"] in [visible(k) for k in same]
        assert row["own"] == pytest.approx(own[i].item(), **NEAR)
        assert row["drawn"] == pytest.approx(cut[i].item(), rel=4e-3, abs=6e-5)
        assert bool(row["cut"]) == (cut[i].item() == 0)
    kept = int((cut > 0).sum())
    assert abs(value(page, "kept") - kept) <= 0.02 * kept  # beyond the carried, groups of 45


def test_the_example_shows_before_anything_is_loaded(browser, tmp_path):
    url = widget_page([LiveGPT(TEXT)], tmp_path / "page.html")
    with opened(browser, url) as (page, heard):
        page.wait_for_selector("html[data-widgets=ready]", state="attached")
        ids = after(TEXT)
        check_text(page, ids)
        check_bars(page, logits_of(ids)[-1])
        assert value(page, "share") == 1
        page.get_by_role("option", name="token 4,").click()
        check_bars(page, logits_of(ids)[3])
        chances = logits_of(ids)[3].softmax(-1)
        assert value(page, "here") == pytest.approx(chances[ids[4]].item(), rel=2e-3)
        assert value(page, "rank") == (chances > chances[ids[4]]).sum() + 1
        assert heard.errors == []
        assert [request for request in heard.requests if "_static/live" in request] == []
        sizes = sum(path.stat().st_size for path in (tmp_path / "_static").rglob("*.js"))
        button = page.get_by_role("button", name=re.compile("Load the model"))
        assert float(re.findall(r"([\d.]+) MB", button.inner_text())[0]) == pytest.approx(
            sizes / 1e6, abs=0.06
        )


def test_the_sliders_cut_the_example_as_the_library_does(show):
    page = show(LiveGPT(TEXT, top_k=40))
    logits = logits_of(after(TEXT))[-1]
    check_bars(page, logits, top_k=40)
    assert [row["cut"] for row in bars(page)] == [None] * 10
    assert page.locator(".line").is_visible()
    set_slider(page, "temperature", 0.5)
    set_slider(page, "top-k", 4)  # the fifth of its steps: 5 tokens
    check_bars(page, logits, temperature=0.5, top_k=5)
    assert [row["cut"] for row in bars(page)][4:6] == [None, "top-k"]
    set_slider(page, "top-p", 0.6)
    check_bars(page, logits, temperature=0.5, top_k=5, top_p=0.6)
    cuts = [row["cut"] for row in bars(page)]
    assert cuts[5:] == ["top-k"] * 5
    assert "top-p" in cuts[:5]
    share = (logits / 0.5).double().softmax(-1).sort(descending=True).values
    assert value(page, "share") == pytest.approx(
        share[: cuts.index("top-p")].sum().item(), abs=2e-3
    )
    assert "top-p" in page.locator(".tail").text_content()
    set_slider(page, "temperature", 0)
    check_bars(page, logits, temperature=0.0, top_k=5, top_p=0.6)
    assert bars(page)[1]["cut"] == "temperature 0"
    press(page, "Reset")
    check_bars(page, logits)
    assert not page.locator(".line").is_visible()  # in which order all tokens lie is not carried
    assert page.locator("[data-number='drawn']").count() == 0
    set_slider(page, "temperature", 1.6)
    check_bars(page, logits, temperature=1.6)


def test_typing_is_read_token_by_token(show):
    page = show(LiveGPT(TEXT))
    box = page.locator("textarea")
    box.press("Control+End")
    page.keyboard.type(" strong")
    expect(page.locator(".loader")).to_be_hidden(timeout=60_000)
    expect(page.locator(".tokens [role=option]")).to_have_count(len(after(TEXT + " strong")))
    check_text(page, after(TEXT + " strong"))
    check_bars(page, logits_of(after(TEXT + " strong"))[-1])
    for key in ("Backspace", "!", "Enter", "é"):
        page.keyboard.press(key) if len(key) > 1 else page.keyboard.insert_text(key)
    assert written(page) == TEXT + " stron!\né"
    check_text(page, after(TEXT + " stron!\né"))
    box.fill("")
    assert tokens(page) == []
    check_bars(page, logits_of([START])[-1])
    box.fill(HOSTILE)
    check_text(page, after(HOSTILE))
    assert page.locator(".ug-gpt script, .tokens b").count() == 0


def drawn_by(logits: torch.Tensor, u: float, **settings: Any) -> int:
    """The token that the library's `draw` takes, given its random number."""
    sums = next_token_logits(logits, **settings).double().softmax(-1).cumsum(-1)
    return int(
        torch.searchsorted(sums, torch.tensor(u, dtype=torch.float64) * sums[-1], right=True)
    )


def test_each_token_is_the_one_that_the_random_number_falls_on(show):
    page = show(LiveGPT(TEXT, temperature=0.9, top_p=0.9))
    load(page)
    ids = after(TEXT)
    for _ in range(6):
        u = value(page, "u")
        wanted = drawn_by(logits_of(ids)[-1], u, temperature=0.9, top_p=0.9)
        assert page.locator("[data-number='drawn']").inner_text() == visible(wanted)
        press(page, "One token")
        expect(page.locator(".tokens [role=option]")).to_have_count(len(ids) + 1)
        ids.append(wanted)
        assert "1 token drawn." in page.get_by_role("status").first.inner_text()
    assert written(page) == BPE_.decode(ids[1:])
    check_text(page, ids)
    assert page.locator(".tokens .made").count() == 6


def test_a_seed_repeats_a_text_and_the_next_one_does_not(show):
    page = show(LiveGPT(TEXT, temperature=1.2))
    page.locator("input[type=number]").fill("7")
    page.locator("input[type=number]").press("Enter")
    page.get_by_role("button", name="Generate").click()  # loads the model too
    said = page.get_by_role("status").first
    button = page.get_by_role("button", name=re.compile("^(Stop|Generate)$"))
    expect(button).to_have_text("Stop", timeout=60_000)
    page.wait_for_function("document.querySelectorAll('.tokens .made').length > 14")
    button.click()
    expect(said).to_contain_text("tokens drawn")
    first = written(page)
    assert first.startswith(TEXT)
    assert f"The model wrote: {first[len(TEXT) :]}" in said.text_content()
    press(page, "Again, next seed")
    page.wait_for_function("document.querySelectorAll('.tokens .made').length > 14")
    button.click()
    assert page.locator("input[type=number]").input_value() == "8"
    assert written(page)[:60] != first[:60]
    press(page, "Undo")
    press(page, "Undo")
    assert written(page) == TEXT or written(page) == first
    while written(page) != TEXT:
        press(page, "Undo")
    page.locator("input[type=number]").fill("7")
    page.locator("input[type=number]").press("Enter")
    for _ in range(5):
        press(page, "One token")
    assert first.startswith(written(page))
    assert len(written(page)) > len(TEXT)


def test_another_token_is_chosen_and_the_text_goes_on(show):
    page = show(LiveGPT(TEXT))
    ids = after(TEXT)
    strip = page.locator(".tokens [aria-selected=true]")
    strip.focus()
    for key in ("Home", "ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    expect(page.locator(".tokens [aria-selected=true]")).to_be_focused()
    check_bars(page, logits_of(ids)[1])
    page.locator(".bars [tabindex='0']").focus()
    page.keyboard.press("ArrowDown")
    other = int(logits_of(ids)[1].topk(2).indices[1])
    page.keyboard.press("Enter")  # asks for the model, and is done when it is there
    expect(page.locator(".loader")).to_be_hidden(timeout=60_000)
    expect(page.locator(".tokens [role=option]")).to_have_count(3)
    check_text(page, [*ids[:2], other])
    press(page, "Undo")
    assert written(page) == TEXT
    page.get_by_label("choosing a token").select_option(index=1)
    page.get_by_role("option", name="token 2,").click()
    page.locator(".bars [role=option]").nth(1).click()
    check_text(page, [*ids[:2], other, *ids[3:]])
    assert "now stands at place 2." in page.get_by_role("status").first.inner_text()
    assert page.locator(".bars [aria-selected=true]").count() == 1
    page.keyboard.press("Tab")
    page.get_by_role("option", name="what comes next").click()
    best = int(logits_of([*ids[:2], other, *ids[3:]])[-1].argmax())
    page.locator(".bars [role=option]").first.click()
    check_text(page, [*ids[:2], other, *ids[3:], best])


def test_lens_and_attention_are_those_of_this_text(show):
    page = show(LiveGPT(TEXT))
    page.get_by_text("Logit lens").click()
    page.get_by_text("Attention of every layer").click()

    def check(ids: list[int], place: int) -> None:
        lens = residual.trace(MODEL, torch.tensor([ids])).logits[:, 0, place - 1].softmax(-1)
        here = ids[place] if place < len(ids) else int(lens[-1].argmax())
        rows = page.locator(".lens tbody tr")
        expect(rows).to_have_count(len(MODEL.blocks) + 1)
        for stage, chances in enumerate(lens):
            cells = (
                rows.nth(stage).locator("td").evaluate_all("(c) => c.map((x) => +x.dataset.value)")
            )
            np.testing.assert_allclose(cells[:5], chances.topk(5).values, rtol=3e-3, atol=1e-5)
            assert cells[5] == pytest.approx(chances[here].item(), rel=3e-3, abs=1e-7)
            rank = rows.nth(stage).locator("td").last.locator("small").inner_text()
            near = (
                (chances > chances[here] * 1.004).sum() + 1,
                (chances > chances[here] / 1.004).sum() + 1,
            )
            assert near[0] <= int(rank.removeprefix("rank ").replace(",", "")) <= near[1]
        with torch.no_grad():
            weights = MODEL(torch.tensor([ids]), return_weights=True)[1]
        queries = page.locator(".av-from li")
        expect(queries).to_have_count(len(ids))
        page.get_by_role("gridcell", name="layer 2, head 1", exact=True).click()
        expect(queries.nth(place - 1)).to_have_attribute("aria-selected", "true")
        numbers = page.locator(".av-to .av-number").all_inner_texts()
        wanted = weights[2][0, 1, place - 1].tolist()
        assert [float(x) for x in numbers] == pytest.approx(wanted, abs=0.0061)

    ids = after(TEXT)
    check(ids, len(ids))
    page.get_by_role("option", name="token 3,").click()
    check(ids, 3)
    page.locator("textarea").press("Control+End")
    page.keyboard.type(" good")
    expect(page.locator(".loader")).to_be_hidden(timeout=60_000)
    ids = after(TEXT + " good")
    check(ids, len(ids))


def test_a_text_beyond_256_tokens_is_cut_visibly(show):
    page = show(LiveGPT(TEXT))
    load(page)
    ids = after("We, the people. " * 80)
    assert len(ids) > 300
    page.locator("textarea").fill("We, the people. " * 80)
    assert value(page, "tokens") == 255
    limit = page.locator(".limit")
    assert "256 tokens" in limit.inner_text()
    assert BPE_.decode(ids[256:])[:40] in limit.inner_text()
    assert [name for name, _ in tokens(page)] == [visible(i) for i in ids[1:256]]
    check_bars(page, logits_of(ids[:256])[-1])
    press(page, "One token")
    assert "room for 256 tokens" in page.get_by_role("status").first.inner_text()
    page.locator("textarea").fill(BPE_.decode(ids[1:254]))
    expect(limit).to_be_hidden()
    press(page, "Generate")
    expect(page.get_by_role("status").first).to_contain_text("2 tokens drawn. The model has room")
    expect(limit).to_be_visible()
    assert value(page, "tokens") == 255


def test_the_model_ends_a_text(show):
    page = show(LiveGPT(TEXT, temperature=2.0))
    load(page)
    ids = after("I ask for the blessing of God. God bless America.")
    rank = int((logits_of(ids)[-1] > logits_of(ids)[-1, START]).sum()) + 1
    steps = [1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 50, 80, 100, 200, 300, 500, 1000, 2000]
    page.locator("textarea").fill(BPE_.decode(ids[1:]))
    set_slider(page, "top-k", next((i for i, k in enumerate(steps) if k >= rank), len(steps)))
    seed = page.locator("input[type=number]")
    ends = seed.evaluate("""async (node) => {
      for (let n = 0; n < 3000; n++) {
        node.value = n;
        node.dispatchEvent(new Event("change"));
        await null; await null;
        if (document.querySelector("[data-number=drawn]").textContent === "<|endoftext|>") return n;
      }
    }""")
    assert ends is not None
    press(page, "Generate")
    expect(page.get_by_role("status").first).to_contain_text("Here the model ended the text")
    assert written(page) == BPE_.decode(ids[1:])


@contextmanager
def broken(browser: Browser, tmp_path) -> Iterator[tuple[Page, Any]]:
    """A page whose weights lack a file."""
    url = widget_page([LiveGPT(TEXT)], tmp_path / "page.html")
    (part,) = (tmp_path / "_static").rglob("03.js")
    part.rename(part.with_suffix(".away"))
    with opened(browser, url) as (page, _):
        page.set_default_timeout(PATIENCE)
        page.wait_for_selector("html[data-widgets=ready]", state="attached")
        yield page, part


def test_loading_that_fails_is_told_and_tried_again(browser, tmp_path):
    with broken(browser, tmp_path) as (page, part):
        press(page, "Load the model")
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("03.js of the model could not be loaded", timeout=PATIENCE)
        check_bars(page, logits_of(after(TEXT))[-1])
        part.with_suffix(".away").rename(part)
        press(page, "Try again to load")
        expect(page.locator(".loader")).to_be_hidden(timeout=60_000)
        expect(alert).to_have_text("")
        page.locator("textarea").fill("Now it works")
        check_text(page, after("Now it works"))


def luminous(locator: Locator) -> str:
    return locator.evaluate("(node) => getComputedStyle(node).backgroundColor")


def test_themes_narrow_pages_and_the_picture(show, tmp_path):
    page = show(LiveGPT(SHORT), width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    chip = page.locator(".tokens .next")
    light = luminous(page.locator(".ug-gpt"))
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert luminous(page.locator(".ug-gpt")) != light
    assert chip.inner_text().startswith("next")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as SVG").last.click()
    path = tmp_path / "picture.svg"
    download.value.save_as(path)
    picture = path.read_text("utf-8")
    names = [visible(i) for i in after(SHORT)[1:]]
    with_text = page.evaluate(
        """(text) => [...new DOMParser().parseFromString(text, "image/svg+xml")
          .querySelectorAll("text")].map((node) => node.textContent)""",
        picture,
    )
    assert [name for name in names if name not in with_text] == []
    assert f"Place {len(names) + 1}: what comes next" in with_text


# A notebook's way: drawn outside the page, put into it later.
LATER = """async ([source, state, numbers]) => {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const { default: widget } = await import(url);
  const heard = new Set(), place = document.createElement("div");
  state._numbers = new DataView(Uint8Array.from(atob(numbers), (x) => x.charCodeAt(0)).buffer);
  const model = { get: (name) => state[name], set() {}, save_changes() {},
    on(event, f) { heard.add(event); }, off(event, f) { heard.delete(event); } };
  window.heard = heard;
  window.stop = widget.render({ model, el: place });
  document.querySelector(".ug").replaceWith(place);
}"""


def test_drawn_outside_the_page_and_taken_away(show):
    widget = LiveGPT(TEXT)
    page = show(widget)
    chips = "(nodes) => nodes.map((node) => getComputedStyle(node).backgroundColor)"
    there = page.locator(".tokens li").evaluate_all(chips)
    assert len(set(there)) > 3
    state = {k: v for k, v in widget.get_state().items() if k[:1] != "_" or k == "_example"}
    numbers = base64.b64encode(widget._numbers).decode()
    page.evaluate(LATER, [widget._esm, state, numbers])
    expect(page.locator(".tokens .next")).to_be_visible()
    page.wait_for_timeout(100)
    assert page.locator(".tokens li").evaluate_all(chips) == there
    assert "change:temperature" in page.evaluate("[...heard]")
    page.evaluate("stop()")
    assert page.evaluate("heard.size") == 0


def test_traits_lead_the_page(show):
    page = show(LiveGPT(TEXT, temperature=0.5, top_k=3, top_p=0.9))
    assert page.get_by_label("temperature", exact=True).input_value() == "0.5"
    assert page.get_by_role("slider", name="top-k").get_attribute("aria-valuetext") == "3"
    assert page.get_by_role("slider", name="top-p").input_value() == "0.9"


def test_keys_and_sliders_take_little_time(show):
    page = show(LiveGPT(TEXT))
    update = """node.value = 0.5 + (n % 20) / 20;
      node.dispatchEvent(new Event("input", { bubbles: true }))"""
    assert script_time(page, page.get_by_label("temperature", exact=True), update, 60) <= 8
    load(page)
    words = BPE_.decode(
        BPE_.encode("We have made great progress in the affairs of this nation. " * 9)[:62]
    )
    page.locator("textarea").fill(words)
    typed = f"""node.value = {words!r} + (n % 2 ? " x" : " xy");
      node.dispatchEvent(new Event("input", {{ bubbles: true }}))"""
    spent = script_time(page, page.locator("textarea"), typed, 40)
    assert value(page, "tokens") >= 63
    assert spent <= 50
