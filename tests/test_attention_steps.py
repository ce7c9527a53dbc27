"""One query, a few keys: the page after real clicks, keys and drags, against the library."""

import math
import re

import ipywidgets
import numpy as np
import pytest
import torch
from driving import number, put_later, script_time
from refusals import refused
from underglass.attention import scaled_dot_product_attention
from underglass.widgets import AttentionSteps

# Every size its own prime, so that a transposed table cannot pass unseen.
K, D, D_V = 5, 3, 2
QUERY = [0.5, -1.2, 2.0]
KEYS = [[1.0, 0.3, 0.2], [-0.7, 0.4, 1.1], [0.0, 2.0, -0.5], [1.5, 1.5, 0.9], [0.2, -0.8, 0.6]]
VALUES = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.5], [2.0, -1.5], [0.4, 0.4]]
TOKENS = ["the", "<script>alert(1)</script>", "שלום", "🙂", ""]
HALF_A_DIGIT = 0.00501  # two digits are shown


def made(**more) -> AttentionSteps:
    return AttentionSteps(QUERY, KEYS, VALUES, **({"tokens": TOKENS} | more))


def expected(query=QUERY, keys=KEYS, values=VALUES, mask=None, temperature=1.0, scaled=True):
    """The library's weights and output; its own division by √d is undone where it is off."""
    q, k, v = (torch.tensor(x, dtype=torch.float64) for x in ([query], keys, values))
    factor = (1 if scaled else math.sqrt(k.shape[1])) / temperature
    looks = torch.tensor([mask or [True] * len(keys)])
    output, weights = scaled_dot_product_attention(q * factor, k, v, looks)
    return weights[0].tolist(), output[0].tolist()


def row(page, step: str) -> list[float]:
    texts = page.locator(f"[data-step={step}] > .cell:not(.own) .number").all_inner_texts()
    return [number(text) for text in texts]


def output(page) -> list[float]:
    return [number(t) for t in page.locator("[data-step=parts] .own .stacked").all_inner_texts()]


def parts(page) -> np.ndarray:
    cells = page.locator("[data-step=parts] > .cell:not(.own)")
    return np.array(
        [[number(t) for t in c.locator(".stacked").all_inner_texts()] for c in cells.all()]
    )


def check(page, **state) -> None:
    """All five steps on the page are those of the library."""
    state = {"query": QUERY, "keys": KEYS, "values": VALUES} | state
    weights, out = expected(**state)
    scores = (np.array(state["keys"]) @ np.array(state["query"])).tolist()
    root = math.sqrt(len(state["query"])) if state.get("scaled", True) else 1.0
    looks = state.get("mask") or [True] * len(scores)
    assert row(page, "scores") == pytest.approx(scores, abs=HALF_A_DIGIT)
    assert row(page, "scaled") == pytest.approx([x / root for x in scores], abs=HALF_A_DIGIT)
    hidden = [x / root if look else -math.inf for x, look in zip(scores, looks, strict=True)]
    assert row(page, "masked") == pytest.approx(hidden, abs=HALF_A_DIGIT)
    assert row(page, "weights") == pytest.approx(weights, abs=HALF_A_DIGIT)
    np.testing.assert_allclose(
        parts(page), np.array(weights)[:, None] * np.array(state["values"]), atol=HALF_A_DIGIT
    )
    assert output(page) == pytest.approx(out, abs=HALF_A_DIGIT)


# Without a browser


def test_repr():
    assert repr(made()) == "AttentionSteps(1 query, 5 keys)"
    one = AttentionSteps(torch.ones(2, 3), torch.ones(1, 3), torch.ones(1, 2))
    assert repr(one) == "AttentionSteps(2 queries, 1 key)"


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.int64])
def test_tensors_become_lists(dtype):
    given = torch.tensor([[1, 2], [3, 4]], dtype=dtype)
    widget = AttentionSteps(
        given.requires_grad_(dtype.is_floating_point), given.numpy(force=True), given
    )
    assert widget.query == widget.key == widget.value == [[1.0, 2.0], [3.0, 4.0]]
    assert widget.mask == [[True, True], [True, True]]


def test_one_mask_serves_all_queries():
    widget = AttentionSteps(KEYS, KEYS, VALUES, mask=[True, False, True, True, False])
    assert widget.mask == [[True, False, True, True, False]] * K
    causal = torch.ones(K, K, dtype=torch.bool).tril()
    assert AttentionSteps(KEYS, KEYS, VALUES, mask=causal).mask == causal.tolist()


def test_names():
    assert AttentionSteps(QUERY, KEYS, VALUES).tokens == ["k1", "k2", "k3", "k4", "k5"]
    assert AttentionSteps(KEYS, KEYS, VALUES, tokens=TOKENS).query_tokens == TOKENS
    assert AttentionSteps(KEYS[:2], KEYS, VALUES, tokens=TOKENS).query_tokens == [
        "query 1",
        "query 2",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((QUERY[:2], KEYS, VALUES), "query has 2 numbers and each key 3, expected as many"),
        ((QUERY, KEYS, VALUES[:4]), "there are 5 keys and 4 values, expected as many"),
        ((QUERY, QUERY, VALUES), r"keys has shape \[3\], expected two axes"),
        ((QUERY, KEYS, [1.0] * K), r"values has shape \[5\], expected two axes"),
        (([[QUERY]], KEYS, VALUES), r"query has shape \[1, 1, 3\], expected \[d\] or \[q d\]"),
        (
            (QUERY, [[1.0, 2.0, 3.0], [1.0]], VALUES),
            r"keys=\[\[1.0, 2.0, 3.0\], \[1.0\]\], expected",
        ),
        ((["a", "b", "c"], KEYS, VALUES), r"query=\['a', 'b', 'c'\], expected rows of numbers"),
        (([math.nan, 0, 0], KEYS, VALUES), "query holds nan, expected numbers from -99 to 99"),
        ((QUERY, torch.tensor(KEYS) * math.inf, VALUES), "keys holds inf, expected numbers"),
        ((QUERY, KEYS, [[100.0, 0.0]] * K), "values holds 100, expected numbers from -99 to 99"),
        ((QUERY, KEYS * 2, VALUES * 2), "10 keys, expected 1 to 8: more cannot be edited by hand"),
        ((QUERY, [], []), r"keys has shape \[0\], expected two axes"),
        (([QUERY] * 9, KEYS, VALUES), "9 queries, expected 1 to 8"),
        (([0.0] * 7, [[0.0] * 7], [[0.0]]), "7 numbers in a key, expected 1 to 6"),
        ((QUERY, KEYS, [[0.0] * 7] * K), "7 numbers in a value, expected 1 to 6"),
    ],
)
def test_bad_tables_are_refused(arguments, message):
    with refused(ValueError, message):
        AttentionSteps(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tokens": ["a", "b"]}, "tokens has 2 names, expected 5"),
        ({"mask": [True] * 4}, r"mask has shape \[4\], expected \[5\]"),
        ({"mask": [1.0, 0.0, 0.0, 0.0, 0.0]}, "mask holds float64, expected booleans"),
        ({"query_tokens": ["a"]}, "query_tokens has 1 names, expected 0"),
    ],
)
def test_bad_options_are_refused(arguments, message):
    with refused(ValueError, message):
        made(**arguments)


@pytest.mark.parametrize(
    ("trait", "value", "message"),
    [
        ("query", [1.0, 2.0], r"query has shape \[2\], expected \[3\]"),
        ("key", [[math.nan] * D] * K, "key holds nan"),
        ("mask", [True, False], r"mask has shape \[2\], expected \[5\]"),
        ("temperature", 0.0, "temperature=0.0, expected 0.1 to 10"),
        ("chosen", 1, "chosen=1, expected 0 to 0"),
    ],
)
def test_a_trait_keeps_its_shape(trait, value, message):
    widget = made()
    before = getattr(widget, trait)
    with refused(ValueError, message):
        setattr(widget, trait, value)
    assert getattr(widget, trait) == before


def test_python_hears_of_a_change():
    widget, heard = made(), []
    widget.observe(lambda change: heard.append(change["new"]), "query")
    widget.set_state({"query": [1, 2, 3.5]})  # as it comes from the browser: whole numbers are int
    assert heard == [[1.0, 2.0, 3.5]]


# In a browser


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_first_sight_equals_the_library(show, theme):
    mask = [True, True, False, True, False]
    check(show(made(mask=mask), theme=theme), mask=mask)


@pytest.mark.browser
def test_typing_and_keys(show):
    page = show(made())
    page.get_by_label("query, number 2").fill("0.75")
    query = [QUERY[0], 0.75, QUERY[2]]
    check(page, query=query)
    field = page.get_by_label("key 🙂, number 1")
    field.press("ArrowUp")
    field.press("Shift+ArrowDown")
    assert field.input_value() == "0.6"
    keys = [[0.6, *row[1:]] if i == 3 else row for i, row in enumerate(KEYS)]
    field = page.get_by_label("value the, number 2")
    field.press("PageDown")
    values = [[1.0, -1.0], *VALUES[1:]]
    check(page, query=query, keys=keys, values=values)
    page.get_by_role("button", name="Reset").click()
    assert field.input_value() == "0"
    check(page)


@pytest.mark.browser
def test_dragging_a_number(show):
    page = show(made())
    field = page.get_by_label("query, number 1")
    box = field.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 20, y, steps=4)
    check(page, query=[0.1, *QUERY[1:]])  # recomputed while the button is still down
    page.mouse.move(x - 60, y + 40, steps=4)
    page.mouse.up()
    page.mouse.move(x + 100, y)
    assert field.input_value() == "-0.7"
    check(page, query=[-0.7, *QUERY[1:]])
    field.click()  # without moving: the field is there to type in
    page.keyboard.type("3")
    check(page, query=[3.0, *QUERY[1:]])


@pytest.mark.browser
@pytest.mark.parametrize("typed", ["", "-", "100", "1e9"])
def test_what_is_no_number_changes_nothing(show, typed):
    page = show(made())
    field = page.get_by_label("query, number 1")
    field.focus()
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.keyboard.type(typed)
    if typed in ("", "-"):
        check(page)
        assert field.get_attribute("aria-invalid") == "true"
        field.blur()
        assert field.input_value() == "0.5"
        check(page)
    else:
        assert field.get_attribute("aria-invalid") == "true"
        field.blur()
        assert float(field.input_value()) <= 99
        check(page, query=[float(field.input_value()), *QUERY[1:]])


@pytest.mark.browser
def test_temperature_and_root(show):
    page = show(made())
    heat = page.get_by_role("slider", name="temperature")
    for key, value in [("End", 10.0), ("Home", 0.1)]:
        heat.press(key)
        assert number(heat.get_attribute("aria-valuetext")) == value
        check(page, temperature=value)
    page.get_by_label("divide by √d").uncheck()
    check(page, temperature=0.1, scaled=False)
    page.get_by_role("button", name="Reset").click()
    check(page)


@pytest.mark.browser
def test_mask_down_to_no_key(show):
    page = show(made())
    mask = [True] * K
    for i, token in enumerate(TOKENS):
        page.get_by_role("checkbox", name=f"may look at {token or '␣'}", exact=True).press("Space")
        mask[i] = False
        if any(mask):
            check(page, mask=mask)
    assert row(page, "weights") == [0.0] * K
    assert output(page) == [0.0] * D_V
    assert "No key may be looked at" in page.get_by_role("note").inner_text()


@pytest.mark.browser
def test_choosing_among_queries(show):
    causal = torch.ones(K, K, dtype=torch.bool).tril()
    page = show(AttentionSteps(KEYS, KEYS, VALUES, tokens=TOKENS, mask=causal))
    check(page, query=KEYS[0], mask=causal[0].tolist())
    page.get_by_role("combobox", name="query").select_option(label="🙂")
    check(page, query=KEYS[3], mask=causal[3].tolist())
    page.get_by_label("query, number 1").fill("2")
    page.get_by_role("checkbox", name="may look at the").uncheck()
    changed = {"query": [2.0, *KEYS[3][1:]], "mask": [False, *causal[3].tolist()[1:]]}
    check(page, **changed)
    page.get_by_role("combobox", name="query").select_option(index=1)
    check(page, query=KEYS[1], mask=causal[1].tolist())  # the others are as they were
    page.get_by_role("combobox", name="query").select_option(index=3)
    check(page, **changed)


@pytest.mark.browser
@pytest.mark.parametrize(("token", "i"), [("the", 0), ("שלום", 2)])
def test_the_arithmetic_of_the_followed_key(show, token, i):
    page = show(made())
    page.get_by_role("button", name=f"Follow {token}").click()
    score = float(np.dot(QUERY, KEYS[i]))
    weights, _ = expected()
    lines = {
        step: page.locator(f"[data-step={step}] .work").inner_text()
        for step in ("scores", "scaled", "weights", "parts")
    }
    assert number(lines["scores"].split("= ")[1]) == pytest.approx(score, abs=HALF_A_DIGIT)
    terms = re.findall(r"[(]?(−?[\d.]+)[)]?·[(]?(−?[\d.]+)", lines["scores"])
    assert sum(number(a) * number(b) for a, b in terms) == pytest.approx(score)
    assert number(lines["scaled"].split("= ")[1]) == pytest.approx(
        score / math.sqrt(D), abs=HALF_A_DIGIT
    )
    share, whole = re.findall(r"= ([\d.]+) ÷ ([\d.]+) =", lines["weights"])[0]
    assert float(share) / float(whole) == pytest.approx(weights[i], abs=HALF_A_DIGIT)
    assert float(share) == pytest.approx(math.exp(score / math.sqrt(D)), abs=HALF_A_DIGIT)
    shown = [number(x) for x in lines["parts"].split("= (")[1].rstrip(")").split(", ")]
    assert shown == pytest.approx([weights[i] * x for x in VALUES[i]], abs=HALF_A_DIGIT)


@pytest.mark.browser
def test_scores_too_large_for_a_power(show):
    large = {"query": [99.0], "keys": [[99.0], [98.9], [-99.0]], "values": [[1.0], [2.0], [3.0]]}
    page = show(AttentionSteps(large["query"], large["keys"], large["values"]))
    weights, out = expected(**large)
    assert row(page, "weights") == pytest.approx(weights, abs=HALF_A_DIGIT)
    assert output(page) == pytest.approx(out, abs=HALF_A_DIGIT)
    assert "NaN" not in page.locator(".ug").inner_text()


@pytest.mark.browser
def test_hostile_tokens_are_text(show):
    page = show(made())
    heads = page.locator("button.token bdi")
    assert heads.all_inner_texts() == [*TOKENS[:-1], "␣"]
    assert page.locator(".ug script").count() == 0


@pytest.mark.browser
def test_arrows_can_be_dragged(show):
    query, keys = [1.0, 0.5], [[0.5, 1.0], [-1.0, 0.4], [1.2, -0.8]]
    values = [[1.0, 0.0], [0.0, 1.0], [-0.8, -0.9]]
    page = show(AttentionSteps(query, keys, values, tokens=["a", "b", "c"]), height=1400)
    pictures = page.locator("svg.plane")
    assert "Query 1.00, 0.50; keys a 0.50, 1.00;" in pictures.nth(0).get_attribute("aria-label")
    for picture, which, into in [(0, "own", query), (0, "2", keys[2]), (1, "1", values[1])]:
        grip = pictures.nth(picture).locator(f"[data-drag='{which}']")
        box = grip.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x - 30, y - 25, steps=3)
        page.mouse.up()
        name = {"own": "query", "2": "key c", "1": "value b"}[which]
        moved = [float(page.get_by_label(f"{name}, number {j}").input_value()) for j in (1, 2)]
        assert moved[0] < into[0] - 0.1
        assert moved[1] > into[1] + 0.1
        into[:] = moved
        check(page, query=query, keys=keys, values=values)
    label = pictures.nth(1).get_attribute("aria-label")
    said = [number(x) for x in re.findall(r"Output (\S+), (\S+);", label or "")[0]]
    assert said == pytest.approx(expected(query, keys, values)[1], abs=HALF_A_DIGIT)


@pytest.mark.browser
def test_the_drawing_agrees_with_the_numbers(show):
    """Bars are as long as their numbers say; the output lies where the axes put it."""
    page = show(made())
    weights, out = expected()
    heights = page.locator("[data-step=weights] .bar").evaluate_all(
        "bars => bars.map(b => b.getBoundingClientRect().height / b.parentElement.clientHeight)"
    )
    assert heights == pytest.approx(weights, abs=0.02)
    picture = page.locator("svg.plane")  # d_v is 2, d is not
    assert picture.count() == 1
    spots = picture.locator(".grip").evaluate_all(
        "all => all.map(c => [Number(c.getAttribute('cx')), Number(c.getAttribute('cy'))])"
    )
    diamond = picture.locator(".result").evaluate(
        "p => { const b = p.getBBox(); return [b.x + b.width / 2, b.y + b.height / 2] }"
    )
    mean = np.array(weights) @ np.array(spots)  # the same mean of the values, in pixels
    np.testing.assert_allclose(diamond, mean, atol=0.1)


@pytest.mark.browser
def test_pause_is_spoken(show):
    page = show(made())
    page.get_by_label("query, number 1").press("PageUp")
    status = page.locator(".ug-hidden[role=status]")
    status.filter(has_text="Output").wait_for(state="attached")
    weights, out = expected(query=[1.5, *QUERY[1:]])
    said = re.findall(r"−?\d+\.\d\d", status.inner_text())
    assert [number(x) for x in said] == pytest.approx([*weights, *out], abs=HALF_A_DIGIT)


@pytest.mark.browser
def test_a_screen_reader_finds_the_numbers_in_a_table(show):
    page = show(made())
    weights, _ = expected()
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="4 Weights"))
    cells = row.get_by_role("cell").all_inner_texts()
    assert [number(text) for text in cells[1:]] == pytest.approx(weights, abs=HALF_A_DIGIT)
    counts = {
        page.locator(f"[data-step={step}]").get_by_role("cell").count()
        for step in ("keys", "scores", "scaled", "masked", "weights", "values", "parts")
    }
    assert counts == {1 + K}  # every number under its own heading
    assert page.get_by_role("columnheader").count() == 2 + K


@pytest.mark.browser
def test_colours_follow_the_theme(show):
    page = show(made())
    field = page.get_by_label("value the, number 1")
    back = "e => getComputedStyle(e).backgroundColor"  # 1 of 2, at 0.7 of the full colour
    assert field.evaluate(back) == "rgb(171, 194, 227)"
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function("document.querySelector('.ug').matches('[data-theme=dark] *')")
    assert field.evaluate(back) == "rgb(71, 95, 128)"


@pytest.mark.browser
def test_drawn_before_it_is_in_the_page(show):
    page = show(made())
    field, back = (
        page.get_by_label("value the, number 1"),
        "e => getComputedStyle(e).backgroundColor",
    )
    before = field.evaluate(back)
    put_later(page, made())
    page.wait_for_function(
        "colour => getComputedStyle(document.querySelector('[aria-label=\"value the, number 1\"]'))"
        ".backgroundColor === colour",
        arg=before,
    )
    check(page)


@pytest.mark.browser
def test_nothing_is_left_behind(show):
    page = show(made())
    put_later(page, made())
    page.wait_for_timeout(100)
    assert page.evaluate("heard.size") > 0
    page.evaluate("stop()")
    assert page.evaluate("heard.size") == 0
    before = page.locator(".ug").evaluate("view => view.outerHTML")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.evaluate("new Promise(requestAnimationFrame)")
    assert page.locator(".ug").evaluate("view => view.outerHTML") == before
    assert page.locator(".ug [id]").count() == 0


@pytest.mark.browser
def test_two_widgets_linked(show):
    first, second = made(), made()
    page = show(first, second, ipywidgets.jslink((first, "key"), (second, "key")))
    page.locator(".ug").nth(0).get_by_label("key the, number 1").fill("-2")
    keys = [[-2.0, *KEYS[0][1:]], *KEYS[1:]]
    texts = page.locator(".ug").nth(1).locator("[data-step=weights] .cell:not(.own) .number")
    shown = [number(text) for text in texts.all_inner_texts()]
    assert shown == pytest.approx(expected(keys=keys)[0], abs=HALF_A_DIGIT)


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_saved_picture_holds_every_number(show, theme):
    page = show(made(), theme=theme)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as SVG").click()
    text = saved.value.path().read_text("utf-8")
    drawn = re.findall(r">([^<>]+)</text>", text)
    weights, out = expected()
    for value in (*weights, *out, *(np.array(KEYS) @ np.array(QUERY))):
        assert f"{value:.2f}".replace("-", "−") in drawn
    assert "&lt;script&gt;" in text or "&lt;" in text
    assert "<script" not in text
    assert "NaN" not in text
    ink = "rgb(230, 235, 242)" if theme == "dark" else "rgb(27, 36, 48)"
    assert f'fill="{ink}"' in text


@pytest.mark.browser
def test_fits_a_phone(show):
    wide = AttentionSteps(torch.ones(6), torch.ones(8, 6), torch.ones(8, 6))
    page = show(wide, made(), width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_label("value k8, number 6").scroll_into_view_if_needed()
    box = page.get_by_label("value k8, number 6").bounding_box()
    assert 0 <= box["x"] <= 360 - box["width"]
    assert box["width"] >= 40


@pytest.mark.browser
def test_an_update_takes_at_most_8_ms_of_script(show):
    largest = AttentionSteps(
        torch.randn(8, 6), torch.randn(8, 6), torch.randn(8, 2), tokens=["token"] * 8
    )
    flat = AttentionSteps(torch.randn(2), torch.randn(8, 2), torch.randn(8, 2))
    page = show(largest, flat)
    for view in page.locator(".ug").all():
        spent = script_time(
            page,
            view.locator("input[type=number]").first,
            "node.dispatchEvent(new KeyboardEvent('keydown', "
            "{ key: n % 2 ? 'ArrowUp' : 'ArrowDown' }))",
        )
        print(f"script time of an update: {spent:.2f} ms")
        assert 0.05 < spent <= 8  # less than that, and nothing was drawn
