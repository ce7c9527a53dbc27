"""One next token: the page after real clicks, keys and drags, against the losses and autograd."""

import math
import re
from typing import Any

import ipywidgets
import numpy as np
import pytest
import torch
from driving import number, put_later
from playwright.sync_api import Locator, Page
from refusals import refused
from torch.nn import functional as F
from underglass import losses
from underglass.optimizers import SGD
from underglass.widgets import LossExplorer

LOGITS = [2.0, 0.53, -1.0, 0.3, -2.2]
TOKENS = ["mat", "<script>alert(1)</script>", "שלום", "🙂", ""]
START = {"logits": LOGITS, "target": 1, "temperature": 1.0, "label_smoothing": 0.0}
HALF_A_DIGIT = 5.001e-5  # four digits are shown, of logits and the perplexity two
EXACT = 1e-12  # of the numbers behind them


def made(**more: Any) -> LossExplorer:
    more = {"tokens": TOKENS} | more
    return LossExplorer(more.pop("logits", LOGITS), more.pop("target", 1), **more)


def expected(logits, target, temperature, label_smoothing) -> dict[str, Any]:
    """What the library and autograd make of it, in float64."""
    z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    y = torch.tensor(target)
    loss = losses.cross_entropy(z / temperature, y, label_smoothing=label_smoothing)
    theirs = F.cross_entropy(z / temperature, y, label_smoothing=label_smoothing)
    torch.testing.assert_close(loss, theirs)
    (gradient,) = torch.autograd.grad(loss, z)
    log_p = (z.detach() / temperature).log_softmax(0)
    q = (1 - label_smoothing) * F.one_hot(y, len(z)).double() + label_smoothing / len(z)
    entropy = torch.special.entr(q).sum()
    return {
        "p": log_p.exp().tolist(),
        "q": q.tolist(),
        "gradient": gradient.tolist(),
        "loss": loss.item(),
        "bits": loss.item() / math.log(2),
        "perplexity": math.exp(min(loss.item(), 700.0)),
        "entropy": entropy.item(),
        "divergence": F.kl_div(log_p, q, reduction="sum").item(),
        "lowest": entropy.item(),
    }


def read(page: Page, kind: str) -> tuple[list[float], list[float]]:
    """Numbers of one kind: as they are shown, and with all their digits."""
    nodes = page.locator(f".ug-loss [data-number='{kind}']")
    shown = [number(text) for text in nodes.all_inner_texts()]
    return shown, nodes.evaluate_all("all => all.map((node) => Number(node.dataset.value))")


def check(page: Page, **state) -> None:
    """Every number on the page is the library's."""
    state = START | state
    for kind, values in expected(**state).items():
        wanted = values if isinstance(values, list) else [values]
        shown, exact = read(page, kind)
        scale = max(1.0, *(abs(x) for x in wanted))
        assert exact == pytest.approx(wanted, abs=EXACT * scale), kind
        digit = 0.00501 if kind == "perplexity" else HALF_A_DIGIT
        assert shown == pytest.approx(wanted, abs=digit, rel=6e-3 if scale > 1e5 else 0), kind
    assert read(page, "logit")[1] == pytest.approx(state["logits"], abs=EXACT)
    assert page.locator("input[type=radio]").nth(state["target"]).is_checked()


def logit(page: Page, token: str) -> Locator:
    return page.get_by_role("slider", name=f"logit of {token}")


def drag(page: Page, node: Locator, start: float, end: float) -> None:
    """Press the mouse at one share of a node's width, and let it go at another."""
    box = node.bounding_box()
    assert box
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * start, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * end, y, steps=4)
    page.mouse.up()


# Without a browser


def test_repr():
    assert repr(made()) == "LossExplorer(5 tokens, target 1)"


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.int64])
def test_tensors_become_lists(dtype):
    given = torch.tensor([3, -1, 2], dtype=dtype)
    widget = LossExplorer(given.requires_grad_(dtype.is_floating_point), torch.tensor(2))
    assert widget.logits == [3.0, -1.0, 2.0]
    assert widget.target == 2
    assert widget.tokens == ["t1", "t2", "t3"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1.0], r"logits has shape \[1\], expected one number for each of 2 to 8 tokens"),
        ([0.0] * 9, r"logits has shape \[9\], .* of a large vocabulary, choose a few"),
        ([[1.0, 2.0]], r"logits has shape \[1, 2\]"),
        ([1.0, math.nan], r"logits\[1\]=nan, expected -99 to 99"),
        ([math.inf, 0.0], r"logits\[0\]=inf, expected -99 to 99"),
        ([0.0, -100.0], r"logits\[1\]=-100, expected -99 to 99; adding one number to all"),
        (["a", "b"], r"logits=\['a', 'b'\], expected a list of numbers"),
    ],
)
def test_bad_logits_are_refused(given, message):
    with refused(ValueError, message):
        LossExplorer(given, 0)
    widget = made()
    with refused(ValueError, message):
        widget.logits = given
    assert widget.logits == LOGITS


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (ValueError, {"target": 5}, "target=5, expected 0 to 4, the index of a token"),
        (ValueError, {"target": -1}, "target=-1, expected 0 to 4"),
        (TypeError, {"target": 1.0}, "target=1.0, expected the index of a token, a whole number"),
        (TypeError, {"target": True}, "target=True, expected the index"),
        (TypeError, {"target": torch.tensor([1])}, r"target=tensor\(\[1\]\), expected the index"),
        (TypeError, {"target": torch.tensor(1.0)}, r"target=tensor\(1.\), expected the index"),
        (ValueError, {"tokens": ["a", "b"]}, r"tokens=\['a', 'b'\], expected 5 names"),
        (ValueError, {"tokens": "abcde"}, "tokens='abcde', expected 5 names"),
        (ValueError, {"temperature": 0.0}, r"temperature=0.0, expected 0.1 to 10"),
        (ValueError, {"temperature": math.nan}, "temperature=nan, expected 0.1 to 10"),
        (ValueError, {"label_smoothing": -0.1}, "label_smoothing=-0.1, expected 0 to 1"),
        (ValueError, {"label_smoothing": 1.5}, "label_smoothing=1.5, expected 0 to 1"),
        (ValueError, {"rate": 20.0}, "rate=20.0, expected 0.01 to 10"),
    ],
)
def test_bad_options_are_refused(error, arguments, message):
    with refused(error, message):
        made(**arguments)


@pytest.mark.parametrize(
    ("trait", "value", "message"),
    [
        ("logits", [1.0, 2.0], "logits has 2 numbers, expected 5"),
        ("target", 5, "target=5, expected 0 to 4"),
        ("tokens", ["a"], r"tokens=\['a'\], expected 5 names"),
        ("temperature", 11.0, "temperature=11.0, expected 0.1 to 10"),
        ("label_smoothing", math.nan, "label_smoothing=nan, expected 0 to 1"),
        ("rate", 0.0, "rate=0.0, expected 0.01 to 10"),
    ],
)
def test_a_trait_keeps_its_range(trait, value, message):
    widget = made()
    before = getattr(widget, trait)
    with refused(ValueError, message):
        setattr(widget, trait, value)
    assert getattr(widget, trait) == before


def test_python_hears_of_a_change():
    widget, heard = made(), []
    widget.observe(lambda change: heard.append(change["new"]), "logits")
    widget.set_state({"logits": [1, 2, 3, 4, 5.5]})  # from the browser: whole numbers are int
    assert heard == [[1.0, 2.0, 3.0, 4.0, 5.5]]


# In a browser


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "state",
    [
        {},
        {"temperature": 0.37, "label_smoothing": 0.13, "target": 4},
        {"temperature": 2.9, "label_smoothing": 1.0},
        {"logits": [4.25, -3.5], "tokens": ["yes", "no"], "label_smoothing": 0.2},
    ],
    ids=["plain", "all", "uniform", "two"],
)
def test_first_sight_equals_the_library(show, theme, state):
    page = show(made(**state), theme=theme)
    check(page, **{name: value for name, value in state.items() if name != "tokens"})


@pytest.mark.browser
def test_logits_answer_to_keys(show):
    page = show(made())
    logits = list(LOGITS)
    presses = {"mat": ["ArrowRight", "Shift+ArrowDown"], "🙂": ["PageUp", "ArrowUp", "PageDown"]}
    for token, keys in presses.items():
        for key in keys:
            logit(page, token).press(key)
    logits[0], logits[3] = 2.0 + 0.1 - 1.0, 0.3 + 0.1
    check(page, logits=logits)
    told = logit(page, "mat").get_attribute("aria-valuetext") or ""
    assert told.startswith("1.10, probability ")
    logit(page, "שלום").press("Home")
    logits[2] = -6.0
    check(page, logits=logits)


@pytest.mark.browser
def test_logits_can_be_dragged(show):
    page = show(made())
    drag(page, logit(page, "mat"), 0.6, 0.25)
    moved = read(page, "logit")[1][0]
    assert -4 < moved < -2  # a quarter of -6 to 6 is -3
    check(page, logits=[moved, *LOGITS[1:]])


@pytest.mark.browser
def test_probabilities_can_be_dragged(show):
    page = show(made(temperature=1.5))
    track = page.locator("[data-token='3'] .shares")
    drag(page, track, 0.05, 0.7)
    assert read(page, "p")[1][3] == pytest.approx(0.7, abs=0.02)
    moved = read(page, "logit")[1][3]
    check(page, logits=[*LOGITS[:3], moved, LOGITS[4]], temperature=1.5)
    track.hover()  # released: nothing follows
    assert read(page, "logit")[1][3] == moved


@pytest.mark.browser
def test_choosing_the_true_token(show):
    page = show(made())
    page.get_by_role("radio", name="true token: 🙂").click()
    check(page, target=3)
    page.keyboard.press("ArrowDown")
    check(page, target=4)
    page.locator(".row[data-token='2'] label").click()
    check(page, target=2)


@pytest.mark.browser
def test_temperature_and_smoothing_follow_their_sliders(show):
    page = show(made())
    heat, smooth = (page.get_by_role("slider", name=n) for n in ("temperature", "smoothing"))
    heat.press("Home")
    check(page, temperature=0.1)
    for _ in range(3):
        smooth.press("ArrowRight")
    check(page, temperature=0.1, label_smoothing=0.03)
    heat.press("End")
    smooth.press("End")
    check(page, temperature=10.0, label_smoothing=1.0)
    heat.fill("0.21")
    check(page, temperature=1.62, label_smoothing=1.0)


def stepped(logits, target, rate, count, temperature=1.0, label_smoothing=0.0):
    """Logits and losses of gradient descent by the library's own optimizer."""
    z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    optimizer = SGD([z], lr=rate)

    def loss():
        y = torch.tensor(target)
        return losses.cross_entropy(z / temperature, y, label_smoothing=label_smoothing)

    seen = [loss().item()]
    for _ in range(count):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        seen.append(loss().item())
    return z.tolist(), seen


@pytest.mark.browser
@pytest.mark.parametrize("options", [{}, {"temperature": 0.6, "label_smoothing": 0.15}])
def test_steps_are_gradient_descent(show, options):
    page = show(made(rate=0.7, **options))
    for clicks in (1, 2, 3):
        page.get_by_role("button", name="Take a step").click()
        logits, seen = stepped(LOGITS, 1, 0.7, clicks, **options)
        check(page, logits=logits, **options)
    assert seen == sorted(seen, reverse=True)
    told = page.locator(".walk").inner_text()
    assert told.startswith("Loss after 3 steps: ")
    numbers = [number(text) for text in told.split(": ")[1].split(" → ")]
    assert numbers == pytest.approx(seen, abs=HALF_A_DIGIT)
    page.get_by_role("button", name="Take 10").click()
    logits, seen = stepped(LOGITS, 1, 0.7, 13, **options)
    check(page, logits=logits, **options)
    told = page.locator(".walk").inner_text()
    assert told.startswith("Loss after 13 steps: … → ")
    last = [number(text) for text in told.split(" → ")[1:]]
    assert last == pytest.approx(seen[-6:], abs=HALF_A_DIGIT)
    assert page.locator(".plot .past").count() == 13
    logit(page, "mat").press("ArrowUp")  # moved by hand: the way here is forgotten
    assert page.locator(".walk").inner_text() == "No step taken yet."
    assert page.locator(".plot .past").count() == 0


@pytest.mark.browser
def test_too_fast_a_rate_overshoots(show):
    page = show(made(temperature=0.2))
    page.get_by_role("slider", name="learning rate").press("End")
    page.get_by_role("button", name="Take 10").click()
    logits, seen = stepped(LOGITS, 1, 10.0, 10, temperature=0.2)
    assert max(abs(z) for z in logits) < 99
    check(page, logits=logits, temperature=0.2)


@pytest.mark.browser
def test_smoothed_descent_ends_at_the_lowest_loss(show):
    page = show(made(label_smoothing=0.1, rate=10.0))
    assert "No finite logits" not in page.locator(".why").inner_text()
    gap = number(re.findall(r"is (\S+) above", page.locator(".why").inner_text())[0])
    for _ in range(20):
        page.get_by_role("button", name="Take 10").click()
    assert read(page, "loss")[0] == read(page, "lowest")[0]
    assert read(page, "divergence")[0] == pytest.approx([0.0], abs=HALF_A_DIGIT)
    logits = read(page, "logit")[1]
    above = [logits[1] - z for i, z in enumerate(logits) if i != 1]
    assert above == pytest.approx([gap] * 4, abs=0.01)
    assert read(page, "q")[0] == pytest.approx(read(page, "p")[1], abs=2e-4)


@pytest.mark.browser
@pytest.mark.parametrize(
    ("smoothing", "words"),
    [
        (0.0, "No finite logits reach it"),
        (0.1, "is 3.83 above all the others"),  # log(0.92 / 0.02)
        (1.0, "where all logits are the same"),
    ],
)
def test_what_the_lowest_loss_asks_of_the_logits(show, smoothing, words):
    assert words in show(made(label_smoothing=smoothing)).locator(".why").inner_text()


@pytest.mark.browser
def test_reset(show):
    page = show(made(temperature=1.7, label_smoothing=0.2, rate=0.5))
    page.get_by_role("button", name="Take 10").click()
    page.get_by_role("slider", name="temperature").press("End")
    page.get_by_role("slider", name="smoothing").press("Home")
    page.get_by_role("slider", name="learning rate").press("End")
    page.get_by_role("radio", name="true token: mat").click()
    logit(page, "mat").press("PageUp")
    page.get_by_role("button", name="Reset").click()
    check(page, temperature=1.7, label_smoothing=0.2)
    assert page.locator(".walk").inner_text() == "No step taken yet."
    page.get_by_role("button", name="Take a step").click()
    logits, _ = stepped(LOGITS, 1, 0.5, 1, 1.7, 0.2)
    check(page, logits=logits, temperature=1.7, label_smoothing=0.2)


@pytest.mark.browser
def test_huge_logits_overflow_nothing(show):
    logits = [99.0, -99.0, 98.5]
    page = show(LossExplorer(logits, 1, temperature=0.1))
    state = {"logits": logits, "target": 1, "temperature": 0.1}
    wanted = expected(**(START | state))
    assert read(page, "loss")[1] == pytest.approx([wanted["loss"]])
    assert read(page, "gradient")[1] == pytest.approx(wanted["gradient"], abs=1e-11)
    assert page.locator("[data-number=perplexity]").inner_text() == "∞"
    page.get_by_role("slider", name="learning rate").press("End")
    page.get_by_role("button", name="Take a step").click()
    assert "logits stop at ±99" not in page.locator(".walk").inner_text()
    for _ in range(2):
        page.get_by_role("button", name="Take 10").click()
    assert max(abs(z) for z in read(page, "logit")[1]) <= 99
    assert "NaN" not in page.locator(".ug").inner_html()


@pytest.mark.browser
def test_a_step_stops_at_the_largest_logit_and_says_so(show):
    page = show(LossExplorer([99.0, 99.0], 0, rate=10.0))
    page.get_by_role("button", name="Take a step").click()
    assert read(page, "logit")[1] == pytest.approx([99.0, 94.0])  # 104 is beyond
    assert page.locator(".walk").inner_text().endswith("; logits stop at ±99")


def line(points: list[tuple[float, float]]) -> np.ndarray:
    x, y = np.array(points).T
    return np.polyfit(x, y, 1)


def plotted(page: Page) -> np.ndarray:
    """The drawn curve as (probability, loss), by the printed ticks."""
    marks = page.locator(".plot .tick").evaluate_all(
        "all => all.map((t) => [t.textContent, t.getAttribute('text-anchor'),"
        " Number(t.getAttribute('x')), Number(t.getAttribute('y'))])"
    )
    numbers = [(number(t), a, x, y) for t, a, x, y in marks if re.fullmatch(r"[\d.]+", t)]
    across = line([(x, v) for v, a, x, _ in numbers if a == "middle"])
    up = line([(y - 4, v) for v, a, _, y in numbers if a == "end"])
    path = page.locator(".plot .curve").get_attribute("d") or ""
    points = np.array([pair.split() for pair in path[1:].split("L")], dtype=float)
    dot = page.locator(".plot .dot").evaluate("c => [c.cx.baseVal.value, c.cy.baseVal.value]")
    both = np.vstack([points, dot])
    return np.stack([np.polyval(across, both[:, 0]), np.polyval(up, both[:, 1])], axis=1)


@pytest.mark.browser
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_curve_is_the_loss_over_the_probability(show, smoothing):
    page = show(made(label_smoothing=smoothing, temperature=0.8))
    *curve, dot = plotted(page)
    wanted = expected(LOGITS, 1, 0.8, smoothing)
    assert dot == pytest.approx([wanted["p"][1], wanted["loss"]], abs=1e-3)
    assert len(curve) > 100
    p, q = torch.tensor(wanted["p"]).double(), torch.tensor(wanted["q"]).double()
    for share, loss in curve:
        if not 0.002 < share < 0.998:
            continue  # the curve is so steep there that half of a tenth of a pixel is too much
        moved = (1 - share) * p / (1 - p[1])  # the others keep their shares of what is left
        moved[1] = share
        slope = 2e-4 * (1 / share + 1 / (1 - share))  # loss for a twentieth of a pixel sideways
        assert loss == pytest.approx(-(q * moved.log()).sum().item(), abs=2e-3 + slope)
    lowest = page.locator(".plot .lowest").evaluate("p => p.getBBox().y")
    zero = page.locator(".plot .tick", has_text=re.compile("^0$")).first
    unit = page.locator(".plot .tick", has_text=re.compile("^1$")).first
    at = [float(t.get_attribute("y")) - 4 for t in (zero, unit)]
    drawn = (lowest - at[0]) / (at[1] - at[0])
    assert drawn == pytest.approx(wanted["entropy"], abs=0.01)
    label = page.locator(".plot").get_attribute("aria-label")
    told = [number(x) for x in re.findall(r"\d+\.\d+", label)]
    assert told == pytest.approx([dot[0], wanted["loss"], wanted["entropy"]], abs=1e-3)


@pytest.mark.browser
def test_bars_are_as_long_as_their_numbers_say(show):
    page = show(made(temperature=0.5, label_smoothing=0.2, rate=0.5))
    wanted = expected(LOGITS, 1, 0.5, 0.2)
    wide = "bars => bars.map((b) => b.getBoundingClientRect().width / b.parentElement.clientWidth)"
    shares = page.locator(".shares .bar").evaluate_all(wide)
    assert shares == pytest.approx(wanted["p"], abs=0.01)
    signed = page.locator(".signed .bar").evaluate_all(wide)
    assert signed == pytest.approx([abs(g) * 0.5 / 2 for g in wanted["gradient"]], abs=0.01)
    sides = page.locator(".signed .bar").evaluate_all(
        "bars => bars.map((b) => Math.sign(parseFloat(b.style.left) - 49.999))"
    )
    assert sides == [1, -1, -1, -1, -1]  # smoothed: of all but the first, more is asked
    assert [math.copysign(1, g) for g in wanted["gradient"]] == sides
    arrows = page.locator(".row .arrow").all_inner_texts()
    assert arrows == ["↓", "↑", "↑", "↑", "↑"]
    goals = page.locator(".goal").evaluate_all(
        "all => all.map((g) => (g.offsetLeft + 1.5) / g.parentElement.clientWidth)"
    )
    assert goals == pytest.approx(wanted["q"], abs=0.02)
    # The mark under a slider spans from the logit to where a step takes it.
    marks = page.locator(".push").evaluate_all(
        "all => all.map((p) => [p.offsetLeft, p.offsetLeft + p.offsetWidth].map((x) =>"
        " ((x - 8) / (p.parentElement.clientWidth - 16)) * 12 - 6))"
    )
    for (low, high), z, g in zip(marks, LOGITS, wanted["gradient"], strict=True):
        assert (low, high) == pytest.approx(sorted([z, z - 0.5 * g]), abs=0.12)


@pytest.mark.browser
def test_hostile_tokens_are_text(show):
    page = show(made())
    names = page.locator(".name bdi").all_inner_texts()
    assert names == [*TOKENS[:-1], "␣"]
    assert page.locator(".ug script").count() == 0


@pytest.mark.browser
def test_pause_is_spoken(show):
    page = show(made())
    logit(page, "mat").press("PageUp")
    status = page.locator("[role=status]")
    status.filter(has_text="Loss").wait_for(state="attached")
    wanted = expected([3.0, *LOGITS[1:]], 1, 1.0, 0.0)
    said = [number(x) for x in re.findall(r"−?\d+\.\d{4}", status.inner_text())]
    pairs = [x for pair in zip(wanted["p"], wanted["gradient"], strict=True) for x in pair]
    assert said == pytest.approx([wanted["loss"], *pairs], abs=HALF_A_DIGIT)


@pytest.mark.browser
def test_a_screen_reader_finds_the_numbers_in_a_table(show):
    page = show(made())
    wanted = expected(**START)
    table = page.get_by_role("table", name="Tokens")
    row = table.get_by_role("row").filter(has=page.get_by_role("rowheader", name="mat"))
    shown = [number(cell.split()[0]) for cell in row.get_by_role("cell").all_inner_texts()]
    assert shown == pytest.approx(
        [2.0, wanted["p"][0], wanted["q"][0], wanted["gradient"][0]], abs=HALF_A_DIGIT
    )
    assert table.get_by_role("columnheader").count() == 5
    assert page.get_by_label("a step raises this logit").count() == 1


@pytest.mark.browser
def test_two_widgets_linked(show):
    first, second = made(), made()
    page = show(first, second, ipywidgets.jslink((first, "logits"), (second, "logits")))
    page.locator(".ug").nth(0).get_by_role("slider", name="logit of mat").press("PageDown")
    for n in (0, 1):
        nodes = page.locator(".ug").nth(n).locator("[data-number=p]")
        shown = [number(text) for text in nodes.all_inner_texts()]
        assert shown == pytest.approx(
            expected([1.0, *LOGITS[1:]], 1, 1.0, 0.0)["p"], abs=HALF_A_DIGIT
        )
    page.locator(".ug").nth(0).get_by_role("radio").nth(3).click()
    assert page.locator(".ug").nth(1).get_by_role("radio").nth(1).is_checked()


@pytest.mark.browser
def test_drawn_before_it_is_in_the_page_and_taken_away(show):
    page = show(made())
    put_later(page, made())
    check(page)
    logit(page, "mat").press("PageUp")  # a sentence waits to be spoken
    assert page.evaluate("heard.size") > 0
    page.evaluate("stop()")
    assert page.evaluate("heard.size") == 0
    assert page.locator(".ug [id]").count() == 0


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_saved_picture_holds_every_number(show, theme):
    page = show(made(label_smoothing=0.1), theme=theme)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as SVG").click()
    assert saved.value.suggested_filename == "loss.svg"
    text = saved.value.path().read_text("utf-8")
    drawn = " ".join(re.findall(r">([^<>]+)</text>", text))
    wanted = expected(LOGITS, 1, 1.0, 0.1)
    for value in (*wanted["p"], *wanted["gradient"], wanted["loss"], wanted["divergence"]):
        assert f"{value:.4f}".replace("-", "−") in drawn
    assert "&lt;script&gt;" in text
    assert "<script" not in text
    assert "NaN" not in text
    ink = "rgb(230, 235, 242)" if theme == "dark" else "rgb(27, 36, 48)"
    assert f'fill="{ink}"' in text
    assert page.locator("svg.saved").count() == 0  # it was in the page only to be coloured


@pytest.mark.browser
def test_fits_a_phone(show):
    names = ["antidisestablishmentarianism"] * 8
    page = show(LossExplorer(torch.linspace(-9, 9, 8), 3, tokens=names), made(), width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for box in (node.bounding_box() for node in page.locator("input[type=range]").all()):
        assert box["width"] >= 100
        assert box["x"] + box["width"] <= 360
