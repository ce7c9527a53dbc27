"""LiveBERT in a real page: what it shows after real clicks and keys, against PyTorch."""

import re
from itertools import accumulate

import ipywidgets
import pytest
import torch
from driving import luminance, script_time
from pages import opened, widget_page
from playwright.sync_api import Locator, Page, expect
from underglass import pretrained
from underglass.models.bert_heads import BERTForMaskedLM
from underglass.quantization import quantized
from underglass.tokenizers import BPE, words
from underglass.widgets import LiveBERT

pytestmark = pytest.mark.browser

MODEL = quantized(pretrained.load("speeches_bert", BERTForMaskedLM))
BPE_ = pretrained.tokenizer("speeches_bert", BPE)
MASK = BPE_.special["<|mask|>"]
TEXT = "The Congress of the United States has the power to declare war."
HOSTILE = "<script>alert(1)</script> & שלום 🙂 <b>"
READ = """cards => cards.map((card) => ({
  title: card.querySelector("h5").innerText,
  p: card.querySelector("[data-number=p]").innerText,
  rank: card.querySelector("[data-number=rank]").innerText,
  rows: [...card.querySelectorAll("li")].map((row) => ({
    token: row.querySelector("bdi").innerText, share: row.querySelector(".share").innerText,
    own: row.classList.contains("true") })) }))"""


def split(text: str) -> list[str]:
    return words.split_words(text, words.compile_pattern(BPE_.pattern))


def seen(i: int) -> str:
    token = BPE_.token(i).decode(errors="backslashreplace")
    token = re.sub("^ +| +$", lambda spaces: "␣" * len(spaces[0]), token)
    return token.replace("\n", "↵") or "∅"


def said(text: str, hidden: list[int]) -> list[tuple[int, torch.Tensor]]:
    """For each hidden token: its id, and the probabilities of all tokens at its place."""
    ids = [BPE_.encode(word) for word in split(text)]
    starts = [0, *accumulate(map(len, ids))]
    row = [MASK if word in hidden else i for word, own in enumerate(ids) for i in own]
    with torch.no_grad():
        p = MODEL(torch.tensor([row]))[0].double().softmax(-1)
    return [(i, p[starts[w] + k]) for w in hidden for k, i in enumerate(ids[w])]


def check_percent(text: str, p: float) -> None:
    """As near as the engine's logits, 0.001, and the digits that are shown."""
    found = re.search(r"[\d.]+", text)
    assert found
    if text[0] in "<>":
        assert (p < 1.01e-5) if text[0] == "<" else (p > 0.999)
    else:
        half = 0.51 * 10 ** -(len(found[0].partition(".")[2]) + 2)
        assert float(found[0]) / 100 == pytest.approx(p, rel=2e-3, abs=half)


def check(page: Page | Locator, text: str, hidden: list[int]) -> None:
    """Every card, against PyTorch's quantized model."""
    wanted = said(text, hidden)
    cards = page.locator(".card")
    expect(cards).to_have_count(len(wanted))
    for card, (own, p) in zip(cards.evaluate_all(READ), wanted, strict=True):
        check_percent(card["p"], p[own].item())
        rank = int(card["rank"].replace(",", ""))
        near = p[own] * torch.tensor([0.998, 1.002])  # tokens as likely, but for rounding
        assert 1 + int((p > near[1]).sum()) <= rank <= int((p >= near[0]).sum())
        rows = card["rows"]
        assert [row["own"] for row in rows].count(True) == 1
        assert len(rows) == 8 + (rank > 8)
        names: dict[str, list[int]] = {}
        for i in p.topk(12).indices.tolist() + [own]:
            names.setdefault(seen(i), []).append(i)
        for row, top in zip(rows[:8], p.topk(8).values.tolist(), strict=True):
            check_percent(row["share"], top)
            assert any(p[i] == pytest.approx(top, rel=4e-3) for i in names[row["token"]])


def loaded(page: Page) -> None:
    expect(page.locator(".place")).to_have_text("The model runs in this page.", timeout=60_000)


def test_the_example_at_once_without_the_model(show):
    page = show(LiveBERT(TEXT, hidden=("power", "war")))
    check(page, TEXT, [8, 11])
    for word in (1, 4):
        page.get_by_role("button", name="Show all words").click()
        assert page.locator(".card").count() == 0
        page.locator(".word").nth(word).click()
        check(page, TEXT, [word])
    assert page.locator(".place").inner_text() == "Shown: worked out in advance."
    assert page.evaluate("[...document.scripts].every((one) => !one.src)")
    page.get_by_role("button", name="Back to the example").click()
    check(page, TEXT, [8, 11])


def test_several_words_by_keys(show):
    page = show(LiveBERT(TEXT, hidden=()))
    page.locator(".word").first.focus()
    for key in ("ArrowRight", "Enter", "End", "ArrowLeft", " "):
        page.keyboard.press(key)
    loaded(page)
    check(page, TEXT, [1, 11])
    assert page.evaluate("document.activeElement.dataset.at") == "11"
    page.keyboard.press("Enter")
    check(page, TEXT, [1])
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    check(page, TEXT, [0, 1])
    chosen = page.get_by_role("option", selected=True)
    assert chosen.all_text_contents() == ["▢", "▢" * len(BPE_.encode(" Congress"))]


def test_a_sentence_of_one_s_own(show):
    page = show(LiveBERT(TEXT, hidden="power"))
    box = page.get_by_role("textbox")
    box.press("Control+Home")
    box.type("Gentlemen! ")
    loaded(page)
    text = f"Gentlemen! {TEXT}"
    check(page, text, [split(text).index(" power")])  # it stays hidden, by its new number
    box.press("Control+End")
    box.type(" Übermorgen, 🙂!")
    text += " Übermorgen, 🙂!"
    place = split(text).index(" Übermorgen")
    page.locator(".word").nth(place).click()
    check(page, text, [split(text).index(" power"), place])
    title = page.locator(".card h5").nth(2).inner_text()
    assert title == f"“Übermorgen”, 2 of {len(BPE_.encode(' Übermorgen'))}: “\\xc3”"
    box.fill("")
    assert page.locator(".note").inner_text() == "Write something."
    assert page.locator(".word, .card").count() == 0


def test_how_many_guesses_are_right(show):
    page = show(LiveBERT(TEXT, hidden=range(13)))
    wanted = said(TEXT, list(range(13)))
    right = sum(int(p.argmax()) == own for own, p in wanted)
    assert page.locator("[data-number=right]").inner_text() == str(right)
    count = f"{len(wanted)} tokens"
    assert page.locator("[data-number=hidden]").inner_text() == count


def test_a_text_that_is_too_long_is_said(show):
    page = show(LiveBERT(TEXT, hidden="power"))
    page.get_by_role("textbox").fill("people " * 300)
    loaded(page)
    note = page.locator(".note").inner_text()
    assert re.fullmatch(r"\d{3} tokens: the model reads 256 at most\.", note)
    assert page.locator(".card").count() == 0
    page.get_by_role("textbox").fill("We the people")
    page.locator(".word").nth(2).click()
    check(page, "We the people", [2])


def test_the_model_asked_for_by_button(show):
    page = show(LiveBERT(TEXT, hidden="power"))
    button = page.get_by_role("button", name="Load the model")
    assert re.search(r"\(\d\.\d\sMB\)", button.inner_text())
    button.click()
    loaded(page)
    assert button.is_hidden()
    check(page, TEXT, [8])  # computed in the page now


def test_weights_that_do_not_come(browser, tmp_path):
    url = widget_page([LiveBERT(TEXT, hidden="power")], tmp_path / "page.html")
    parts = sorted((tmp_path / "_static/live/speeches_bert").glob("*.js"))
    away = parts[1].rename(tmp_path / "away.js")
    with opened(browser, url) as (page, _):
        page.locator(".word").first.click()
        failed = page.get_by_role("alert")
        expect(failed).to_contain_text("The model could not be loaded", timeout=60_000)
        away.rename(parts[1])
        page.get_by_role("button", name="Try again").click()
        loaded(page)
        assert failed.count() == 0  # hidden, and empty
        check(page, TEXT, [0, 8])


def test_hostile_text_is_text(show):
    page = show(LiveBERT(HOSTILE, hidden=1))
    assert page.locator(".ug script").count() == page.locator(".ug b:not([data-number])").count()
    shown = page.locator(".word bdi").all_text_contents()
    assert "שלום" in shown
    check(page, HOSTILE, [1])
    page.get_by_role("textbox").fill(f"{HOSTILE}\n\x01")
    loaded(page)
    assert page.locator(".word").last.inner_text() == "␁"
    assert page.locator(".ug script").count() == 0


def test_a_pause_is_spoken(show):
    page = show(LiveBERT(TEXT, hidden=()))
    status = page.locator("[role=status]")
    page.wait_for_timeout(700)
    assert status.inner_text() == ""  # nothing has happened yet
    page.locator(".word").nth(1).click()
    status.filter(has_text="Congress: ").wait_for(state="attached")
    p, rank = (page.locator(f"[data-number={kind}]").inner_text() for kind in ("p", "rank"))
    assert f"Congress: {p}, rank {rank.replace(',', '')}" in status.inner_text()


def test_traits_set_in_python_and_links(show):
    first, second = LiveBERT(TEXT, hidden=0), LiveBERT("We the people", hidden=2)
    first.hidden = [1, 2]
    page = show(first, second, ipywidgets.jslink((first, "text"), (second, "text")))
    one, other = page.locator(".ug").all()
    loaded(page.locator(".ug").first)  # pyright: ignore[reportArgumentType]
    check(one, TEXT, [1, 2])
    one.get_by_role("textbox").fill("We the women")
    check(one, "We the women", [])
    check(other, "We the women", [2])


def test_taken_away_while_the_model_comes(show):
    page = show(LiveBERT(TEXT, hidden=()), LiveBERT("We the people", hidden=0))
    page.locator(".ug").first.get_by_role("button", name="Load the model").click()
    page.locator(".ug").first.evaluate("node => node.remove()")
    page.get_by_role("button", name="Load the model").click()
    loaded(page)
    check(page, "We the people", [0])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_stand_out(show, theme):
    page = show(LiveBERT(TEXT, hidden=8), theme=theme)
    ground = page.locator(".ug").evaluate("node => getComputedStyle(node).backgroundColor")
    for selector, ratio in (("li .rank", 4.5), (".card p", 4.5), ("li.true", 4.5), (".place", 4.5)):
        colour = page.locator(selector).first.evaluate("node => getComputedStyle(node).color")
        low, high = sorted((luminance(colour), luminance(ground)))
        assert (high + 0.05) / (low + 0.05) >= ratio, selector


def test_saved_picture(show):
    page = show(LiveBERT(HOSTILE, hidden=(1, 2)))
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as SVG").click()
    assert saved.value.suggested_filename == "live-bert.svg"
    text = saved.value.path().read_text("utf-8")
    drawn = re.findall(r">([^<>]+)</text>", text)
    cards = page.locator(".card").evaluate_all(READ)
    shares = [row["share"] for card in cards for row in card["rows"][:8]]
    assert [one.replace("&lt;", "<") for one in drawn if one.endswith("%")] == shares
    assert "<script" not in text
    assert "NaN" not in text


def test_fits_a_phone(show):
    page = show(LiveBERT("x" * 38, hidden=0), width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("textbox").fill("Our fellow-citizens " * 10)
    loaded(page)
    page.locator(".word").nth(1).tap()
    check(page, "Our fellow-citizens " * 10, [1])
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_key_press_is_quick(show):
    """Fifty milliseconds of script at 64 tokens, a word hidden."""
    page = show(LiveBERT("We the people", hidden=2))
    text = "people " * 40
    while len(BPE_.encode(text)) < 63:
        text += "and "
    box = page.get_by_role("textbox")
    box.fill(text)
    loaded(page)
    page.locator(".word").nth(2).click()
    expect(page.locator(".card")).not_to_have_count(0)
    press = f"""node.value = {text!r} + 'ab'[n % 2];
      node.dispatchEvent(new Event('input'))"""
    assert script_time(page, box, press, 20) <= 50
