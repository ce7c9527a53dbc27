"""Codes of positions: the page after real clicks, keys and drags, against underglass.positions."""

import math
import re

import numpy as np
import pytest
import torch
from driving import number, put_later, script_time
from refusals import refused
from underglass.positions import RotaryPositions, sinusoidal_positions
from underglass.widgets import PositionView

LENGTH, WIDTH = 37, 22  # neither is the default, nor a multiple of the other
HALF_A_DIGIT = 0.000501  # three digits are shown


def code(length=LENGTH, width=WIDTH, base=10000.0) -> torch.Tensor:
    return sinusoidal_positions(length, width, base=base, dtype=torch.float64)


def contents(name: str, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The vectors that the widget turns, as its script makes them."""
    if name == "alike":
        return torch.ones(width, dtype=torch.float64), torch.ones(width, dtype=torch.float64)
    i = torch.arange(width, dtype=torch.float64)
    query = torch.sin(3 * i + 1)
    return query, 0.5 * query + torch.sin(5 * i + 2)


def turned(x: torch.Tensor, position: int, base=10000.0) -> torch.Tensor:
    return RotaryPositions(len(x), base=base)(x[None], offset=position)[0]


def reading(page, which=0) -> str:
    return page.locator(".reading").nth(which).inner_text()


def last(text: str) -> float:
    return number(text.split("= ")[-1])


def points(page, selector: str) -> np.ndarray:
    """The corners of a drawn line, in pixels of the picture."""
    d = page.locator(selector).get_attribute("d")
    return np.array([[float(x) for x in pair.split()] for pair in re.split("[ML]", d)[1:]])


def check_line(page, selector: str, values) -> None:
    """The line rises and falls as `values` do: one straight scale turns the one into the other."""
    drawn, values = points(page, selector), np.asarray(values)
    assert len(drawn) == len(values)
    assert np.ptp(values) > 0.1
    (slope, start), residuals = np.polyfit(values, drawn[:, 1], 1), None
    residuals = drawn[:, 1] - (slope * values + start)
    assert slope < -1  # larger numbers higher up
    assert np.abs(residuals).max() < 0.02
    assert np.ptp(np.diff(drawn[:, 0])) < 0.02  # one step for each position


# Without a browser


def test_repr():
    assert repr(PositionView()) == "PositionView(64 positions, 32 dimensions)"
    assert repr(PositionView(LENGTH, WIDTH, 500.0, kind="rotary")) == (
        "PositionView(37 positions, 22 dimensions)"
    )


@pytest.mark.parametrize("sizes", [(2, 2), (512, 128), (3, 16)])
def test_extreme_sizes_start_within_bounds(sizes):
    view = PositionView(*sizes)
    assert 0 <= view.position < view.max_len
    assert 0 <= view.query_position <= view.key_position < view.max_len
    assert 0 <= view.dimension < view.d_model
    assert all(0 <= i < view.d_model for i in view.kept)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_len": 1}, "max_len=1, expected 2 to 512"),
        ({"max_len": 1000}, "max_len=1000, expected 2 to 512"),
        ({"d_model": 7}, "d_model=7, expected an even number, 2 to 128"),
        ({"d_model": 0}, "d_model=0, expected an even number"),
        ({"d_model": 256}, "d_model=256, expected an even number, 2 to 128"),
        ({"base": 1.0}, "base=1, expected 10 to 1000000"),
        ({"base": math.nan}, "base=nan, expected 10 to 1000000"),
        ({"kind": "alibi"}, "kind='alibi', expected one of 'sinusoidal', 'rotary'"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with refused(ValueError, message):
        PositionView(**arguments)


@pytest.mark.parametrize(
    ("trait", "value", "message"),
    [
        ("position", 64, "position=64, expected 0 to 63"),
        ("key_position", -1, "key_position=-1, expected 0 to 63"),
        ("dimension", 128, "dimension=128, expected 0 to 127"),
        ("d_model", 31, "d_model=31, expected an even number"),
        ("content", "other", "content='other', expected one of 'alike', 'different'"),
        ("max_len", 65, "max_len is fixed when the widget is made"),
    ],
)
def test_traits_stay_within_bounds(trait, value, message):
    view = PositionView()
    before = getattr(view, trait)
    with refused(ValueError, message):
        setattr(view, trait, value)
    assert getattr(view, trait) == before


# In a browser: sinusoidal


@pytest.mark.browser
@pytest.mark.parametrize("base", [10000.0, 50.0])
def test_arrow_keys_read_the_code(show, base):
    page, expected = show(PositionView(LENGTH, WIDTH, base)), code(base=base)
    heat = page.get_by_role("application")
    heat.focus()
    place = [LENGTH // 3, 2 * (WIDTH // 16)]
    for key, step in [
        ("ArrowRight", (1, 0)),
        ("ArrowDown", (0, 1)),
        ("ArrowDown", (0, 1)),
        ("ArrowLeft", (-1, 0)),
        ("PageDown", (0, 8)),
        ("ArrowUp", (0, -1)),
        ("End", (LENGTH, 0)),
        ("PageDown", (0, 8)),
        ("PageDown", (0, 8)),
        ("Home", (-LENGTH, 0)),
    ]:
        page.keyboard.press(key)
        place = [
            min(max(place[0] + step[0], 0), LENGTH - 1),
            min(max(place[1] + step[1], 0), WIDTH - 1),
        ]
        p, i = place
        said = re.match(
            r"Heat map; arrow keys move. Position (\d+), dimension (\d+): (\S+)",
            heat.get_attribute("aria-label") or "",
        )
        assert said
        assert [int(said[1]), int(said[2])] == place
        assert number(said[3]) == pytest.approx(float(expected[p, i]), abs=HALF_A_DIGIT)
        assert reading(page).startswith(f"P[{p}, {i}] = {'cos' if i % 2 else 'sin'}({p} / ")
        assert last(reading(page)) == pytest.approx(float(expected[p, i]), abs=HALF_A_DIGIT)
    assert page.get_by_role("slider", name="position p").input_value() == "0"
    assert page.get_by_role("slider", name="dimension", exact=True).input_value() == str(WIDTH - 1)


@pytest.mark.browser
def test_pointing_reads_and_pressing_moves(show):
    page, expected = show(PositionView(LENGTH, WIDTH)), code()
    box = page.locator(".heat .ground").bounding_box()
    before = reading(page)

    def middle(p, i):
        return (
            box["x"] + (p + 0.5) * box["width"] / LENGTH,
            box["y"] + (i + 0.5) * box["height"] / WIDTH,
        )

    page.mouse.move(*middle(30, 5))
    page.wait_for_function("document.querySelector('.reading').textContent.startsWith('P[30, 5]')")
    assert last(reading(page)) == pytest.approx(float(expected[30, 5]), abs=HALF_A_DIGIT)
    here = LENGTH // 3
    product = float(expected[here] @ expected[30])
    assert f"P[{here}] · P[30] = {product:.3f}: {30 - here} apart" in reading(page, 1)
    page.mouse.move(5, 5)
    page.wait_for_function(f"document.querySelector('.reading').textContent === {before!r}")
    page.mouse.move(*middle(3, 9))
    page.mouse.down()
    page.mouse.move(*middle(36, 20), steps=4)
    page.mouse.up()
    page.mouse.move(5, 5)
    page.wait_for_function("document.querySelector('.reading').textContent.startsWith('P[36, 20]')")
    assert page.get_by_role("slider", name="position p").input_value() == "36"


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_heat_map_has_the_colours_of_the_code(show, theme):
    page, expected = show(PositionView(LENGTH, WIDTH), theme=theme), code().T
    pixels = page.locator("canvas").evaluate("""canvas => {
      const { width, height } = canvas;
      return [width, height, ...canvas.getContext("2d").getImageData(0, 0, width, height).data];
    }""")
    over, under = (page.locator(x).bounding_box() for x in (".heat .ground", "canvas"))
    assert over == pytest.approx(under, abs=0.1)  # the cursor stands where the colours are
    assert pixels[:2] == [LENGTH, WIDTH]
    rgb = np.array(pixels[2:]).reshape(WIDTH, LENGTH, 4)[..., :3].astype(float)
    low, zero, high = {
        "light": ([179, 81, 10], [247, 247, 247], [31, 95, 191]),
        "dark": ([240, 163, 94], [42, 49, 59], [125, 180, 255]),
    }[theme]
    v = expected.numpy()[..., None]
    wanted = np.where(
        v < 0,
        zero + (np.array(low) - zero) * -v,
        zero + (np.array(high) - zero) * v,
    )
    assert np.abs(rgb - wanted).max() < 3  # colours go in steps of a hundredth


@pytest.mark.browser
def test_lines_are_the_code_and_its_products(show):
    view = PositionView(LENGTH, WIDTH)
    page = show(view)
    for base, key in [(10000.0, None), (10.0, "Home"), (1e6, "End")]:
        if key:
            page.get_by_role("slider", name="base").press(key)
        expected = code(base=base)
        here = LENGTH // 3
        check_line(page, "[data-products]", expected @ expected[here])
        for i in {view.dimension, *view.kept}:
            check_line(page, f"[data-dimension='{i}']", expected[:, i])
        shown = dict(re.findall(r"(\d+) apart: (−?[\d.]+)", reading(page, 1)))
        assert {int(k) for k in shown} == {1, 4, 16}
        for k, value in shown.items():
            product = float(expected[here] @ expected[here + int(k)])
            assert number(value) == pytest.approx(product, abs=HALF_A_DIGIT)


@pytest.mark.browser
def test_dots_stand_on_their_curves(show):
    view = PositionView(LENGTH, WIDTH)
    page = show(view)
    dots = page.locator(".plot:not([hidden]) .dot").evaluate_all(
        "all => all.map(c => [Number(c.getAttribute('cx')), Number(c.getAttribute('cy'))])"
    )
    lines = [f"[data-dimension='{i}']" for i in (*view.kept, view.dimension)]
    on_curves = [points(page, line)[LENGTH // 3] for line in (*lines, "[data-products]")]
    np.testing.assert_allclose(dots, on_curves, atol=0.01)


@pytest.mark.browser
def test_a_kept_curve_is_drawn_once(show):
    page = show(PositionView(LENGTH, WIDTH))
    page.get_by_role("slider", name="dimension", exact=True).press("Home")
    assert page.locator("[data-dimension='0']").count() == 1
    assert page.get_by_role("button", name="Drop the curve of dimension 0").is_visible()
    check_line(page, "[data-dimension='0']", code()[:, 0])


@pytest.mark.browser
def test_width_and_curves(show):
    page = show(PositionView(LENGTH, WIDTH))
    dimension = page.get_by_role("slider", name="dimension", exact=True)
    dimension.press("ArrowRight")
    page.get_by_role("button", name="Keep the curve of dimension 3").click()
    dimension.press("End")
    page.get_by_role("button", name=f"Keep the curve of dimension {WIDTH - 1}").click()
    dimension.press("Home")
    dimension.press("ArrowRight")
    for i in (0, 1, 3, 4):
        check_line(page, f"[data-dimension='{i}']", code()[:, i])
    assert page.locator(f"[data-dimension='{WIDTH - 1}']").count() == 1
    dimension.press("End")
    page.get_by_role("button", name="drop dimension 0").click()
    assert page.locator("[data-dimension='0']").count() == 0
    size = page.get_by_role("slider", name="dimensions d")
    for _ in range(4):
        size.press("ArrowLeft")
    narrow = code(width=WIDTH - 8)
    assert size.input_value() == str(WIDTH - 8)
    check_line(page, "[data-products]", narrow @ narrow[LENGTH // 3])
    assert dimension.input_value() == str(WIDTH - 9)
    assert page.locator(f"[data-dimension='{WIDTH - 1}']").count() == 0
    page.get_by_role("button", name="Reset").click()
    check_line(page, "[data-products]", code() @ code()[LENGTH // 3])
    check_line(page, "[data-dimension='0']", code()[:, 0])


@pytest.mark.browser
def test_the_product_keeps_its_shape(show):
    page = show(PositionView(LENGTH, WIDTH))
    before = points(page, "[data-products]")[:, 1]
    for _ in range(7):
        page.get_by_role("slider", name="position p").press("ArrowRight")
    np.testing.assert_allclose(points(page, "[data-products]")[7:, 1], before[:-7], atol=0.011)


# In a browser: rotary


def shares(page) -> dict[int, float]:
    dials = page.locator("[data-pair]").evaluate_all(
        "all => all.map(g => [g.dataset.pair, g.querySelector('.share').textContent])"
    )
    return {int(pair): number(share) for pair, share in dials}


def check_rotary(page, m, n, *, name="alike", width=WIDTH, base=10000.0):
    query, key = contents(name, width)
    a, b = turned(query, m, base), turned(key, n, base)
    assert reading(page).startswith(f"query at {m} · key at {n} = ")
    assert last(reading(page)) == pytest.approx(float(a @ b), abs=HALF_A_DIGIT)
    half, drawn = width // 2, shares(page)
    assert len(drawn) == min(half, 16)
    for i, share in drawn.items():
        expected = float(a[i] * b[i] + a[i + half] * b[i + half])
        assert share == pytest.approx(expected, abs=0.00501)


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_rotary_equals_the_library(show, theme):
    page = show(PositionView(LENGTH, WIDTH, kind="rotary"), theme=theme)
    m, n = LENGTH // 4, LENGTH // 4 + 4
    check_rotary(page, m, n)
    page.get_by_role("combobox", name="query and key").select_option("different")
    check_rotary(page, m, n, name="different")
    page.get_by_role("slider", name="query position").press("End")
    page.get_by_role("slider", name="key position").press("ArrowLeft")
    check_rotary(page, LENGTH - 1, n - 1, name="different")
    page.get_by_role("slider", name="base").press("Home")
    check_rotary(page, LENGTH - 1, n - 1, name="different", base=10.0)
    page.get_by_role("slider", name="dimensions d").press("End")
    check_rotary(page, LENGTH - 1, n - 1, name="different", base=10.0, width=128)


@pytest.mark.browser
@pytest.mark.parametrize("name", ["alike", "different"])
def test_the_score_of_every_distance(show, name):
    page = show(PositionView(LENGTH, WIDTH, kind="rotary"))
    page.get_by_role("combobox", name="query and key").select_option(name)
    query, key = contents(name, WIDTH)
    distances = range(1 - LENGTH, LENGTH)
    expected = [float(turned(query, max(0, -k)) @ turned(key, max(0, k))) for k in distances]
    check_line(page, "[data-scores]", expected)


@pytest.mark.browser
def test_moving_both_leaves_the_score(show):
    page = show(PositionView(LENGTH, WIDTH, kind="rotary"))
    page.get_by_role("combobox", name="query and key").select_option("different")
    m, n = LENGTH // 4, LENGTH // 4 + 4
    before = last(reading(page))
    dials = page.locator("[data-pair='0']").get_attribute("aria-label")
    both = page.get_by_role("slider", name="move both")
    for key, start in [("Home", 0), ("End", LENGTH - 5), ("ArrowLeft", LENGTH - 6)]:
        both.press(key)
        check_rotary(page, start, start + n - m, name="different")
        assert last(reading(page)) == before
        assert page.locator("[data-pair='0']").get_attribute("aria-label") != dials
    page.get_by_role("slider", name="query position").press("End")  # the query may stand behind
    both.press("Home")
    key_position = int(page.get_by_role("slider", name="key position").input_value())
    assert key_position == 0
    check_rotary(page, LENGTH - 1 - (LENGTH - 2), 0, name="different")


@pytest.mark.browser
def test_arrows_point_where_the_numbers_say(show):
    page = show(PositionView(LENGTH, WIDTH, kind="rotary"))
    page.get_by_role("combobox", name="query and key").select_option("different")
    query, key = contents("different", WIDTH)
    a = turned(query, LENGTH // 4)
    heads = page.locator("[data-pair] .head.warm").evaluate_all(
        "all => all.map(p => p.getAttribute('d'))"
    )
    tips = [[float(x) for x in head[1:].split("L")[0].split()] for head in heads]
    centres = page.locator("[data-pair] circle").evaluate_all(
        "all => all.map(c => [Number(c.getAttribute('cx')), Number(c.getAttribute('cy'))])"
    )
    half = WIDTH // 2
    for i, (tip, centre) in enumerate(zip(tips, centres, strict=True)):
        drawn = math.atan2(centre[1] - tip[1], tip[0] - centre[0])
        meant = math.atan2(float(a[i + half]), float(a[i]))
        assert math.cos(drawn - meant) == pytest.approx(1, abs=1e-4)


@pytest.mark.browser
@pytest.mark.parametrize("kind", ["sinusoidal", "rotary"])
def test_a_screen_reader_hears_the_curves(show, kind):
    page = show(PositionView(LENGTH, WIDTH, kind=kind))
    name = {"sinusoidal": "Its product", "rotary": "Score at distance"}[kind]
    label = page.get_by_role("img", name=name).get_attribute("aria-label") or ""
    said = {int(number(k)): number(v) for k, v in re.findall(r"(−?\d+): (−?[\d.]+)", label)}
    assert len(said) > 4
    if kind == "rotary":
        query, key = contents("alike", WIDTH)
        wanted = {k: float(turned(query, max(0, -k)) @ turned(key, max(0, k))) for k in said}
    else:
        wanted = {k: float(code()[LENGTH // 3] @ code()[k]) for k in said}
    assert said == pytest.approx(wanted, abs=0.00501)


@pytest.mark.browser
def test_colours_follow_the_theme(show):
    page = show(PositionView(LENGTH, WIDTH))
    first = "canvas => [...canvas.getContext('2d').getImageData(0, 1, 1, 1).data]"
    assert page.locator("canvas").evaluate(first) == [31, 95, 191, 255]  # cos(0) is 1
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function("document.querySelector('.ug').matches('[data-theme=dark] *')")
    assert page.locator("canvas").evaluate(first) == [125, 180, 255, 255]


@pytest.mark.browser
@pytest.mark.parametrize("kind", ["sinusoidal", "rotary"])
def test_drawn_before_it_is_in_the_page(show, kind):
    page = show(PositionView(LENGTH, WIDTH))
    put_later(page, PositionView(LENGTH, WIDTH, kind=kind))
    page.wait_for_function(
        "document.querySelector('.plot:not([hidden])').viewBox.baseVal.width > 650"
    )
    if kind == "rotary":
        check_rotary(page, LENGTH // 4, LENGTH // 4 + 4)
    else:
        check_line(page, "[data-products]", code() @ code()[LENGTH // 3])
        first = "canvas => [...canvas.getContext('2d').getImageData(0, 1, 1, 1).data]"
        assert page.locator("canvas").evaluate(first) == [31, 95, 191, 255]


@pytest.mark.browser
def test_nothing_is_left_behind(show):
    page = show(PositionView(LENGTH, WIDTH))
    put_later(page, PositionView(LENGTH, WIDTH))
    page.wait_for_timeout(100)
    assert page.evaluate("heard.size") > 0
    page.evaluate("stop()")
    assert page.evaluate("heard.size") == 0
    before = page.locator(".ug").evaluate("view => view.outerHTML")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.set_viewport_size({"width": 500, "height": 900})
    page.wait_for_timeout(100)
    assert page.locator(".ug").evaluate("view => view.outerHTML") == before
    assert page.locator(".ug [id]").count() == 0


@pytest.mark.browser
def test_pictures_follow_the_width(show):
    page = show(PositionView(LENGTH, WIDTH))
    for width in (500, 900, 360):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(
            "() => { const svg = document.querySelector('.plot'); "
            "return Math.abs(svg.viewBox.baseVal.width - svg.parentNode.clientWidth) <= 1 }"
        )
        over, under = (page.locator(x).bounding_box() for x in (".heat .ground", "canvas"))
        assert over == pytest.approx(under, abs=1)
        assert over["x"] + over["width"] <= width


# In a browser: both


@pytest.mark.browser
def test_changing_the_kind_by_keyboard(show):
    page = show(PositionView(LENGTH, WIDTH))
    page.get_by_role("button", name="Rotary").press("Enter")
    assert page.get_by_role("button", name="Rotary").get_attribute("aria-pressed") == "true"
    check_rotary(page, LENGTH // 4, LENGTH // 4 + 4)
    assert not page.get_by_role("slider", name="position p").is_visible()
    page.get_by_role("button", name="Sinusoidal").press("Space")
    assert reading(page).startswith("P[12, 2] = sin(12 / 10000")


@pytest.mark.browser
def test_pause_is_spoken(show):
    page = show(PositionView(LENGTH, WIDTH))
    page.get_by_role("slider", name="position p").press("ArrowRight")
    status = page.locator(".ug-hidden[role=status]")
    status.filter(has_text="P[13, 2]").wait_for(state="attached")
    said = re.findall(r"P\[13, 2\] = (\S+)\.", status.inner_text())
    assert number(said[0]) == pytest.approx(float(code()[13, 2]), abs=HALF_A_DIGIT)


@pytest.mark.browser
@pytest.mark.parametrize("kind", ["sinusoidal", "rotary"])
def test_saved_picture(show, kind):
    page = show(PositionView(LENGTH, WIDTH, kind=kind), theme="dark")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as SVG").click()
    text = saved.value.path().read_text("utf-8")
    assert "var(" not in text
    assert "NaN" not in text
    assert 'fill="rgb(230, 235, 242)"' in text
    if kind == "rotary":
        for share in shares(page).values():
            assert f">{share:.2f}<".replace("-", "−") in text
    else:
        assert 'href="data:image/png;base64,' in text
        assert f"P[{LENGTH // 3}] · P[every position]" in text


@pytest.mark.browser
@pytest.mark.parametrize("kind", ["sinusoidal", "rotary"])
@pytest.mark.parametrize("sizes", [(2, 2), (512, 128)])
def test_fits_a_phone_at_any_size(show, kind, sizes):
    page = show(PositionView(*sizes, kind=kind), width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    cut = page.locator(".plot text:visible").evaluate_all(
        "all => all.filter(t => { const b = t.getBoundingClientRect(); "
        "return b.width && (b.left < 0 || b.right > innerWidth) }).map(t => t.textContent)"
    )
    assert cut == []
    if kind == "sinusoidal":
        expected = code(*sizes)
        check_line(page, "[data-products]", expected @ expected[sizes[0] // 3])


@pytest.mark.browser
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("sinusoidal", "position p"),
        ("sinusoidal", "base"),
        ("rotary", "move both"),
        ("rotary", "base"),
    ],
)
@pytest.mark.parametrize("sizes", [(64, 32), (512, 128)])
def test_an_update_takes_at_most_8_ms_of_script(show, kind, name, sizes):
    page = show(PositionView(*sizes, kind=kind))
    slider = page.get_by_role("slider", name=name)
    spent = script_time(
        page,
        slider,
        "node.start ??= Number(node.value);"
        "node.value = String(node.start - Number(node.step) * (1 + n % 5));"
        "node.dispatchEvent(new Event('input'))",
    )
    print(f"{kind}, {name}, {sizes}: script time of an update {spent:.2f} ms")
    assert 0.05 < spent <= 8  # less than that, and nothing was drawn
