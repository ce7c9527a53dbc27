"""Training curves: the page after real clicks, drags, keys and wheels, against numpy."""

import base64
import re

import ipywidgets
import numpy as np
import pytest
from curve_cases import (
    cells,
    curve,
    history,
    lines,
    path,
    smoothed,
    spoken,
    spoken_values,
    ticks,
    to_values,
)
from driving import luminance, number, script_time
from playwright.sync_api import Page
from underglass.widgets import TrainingCurves

pytestmark = pytest.mark.browser

DIGITS = 6e-5  # five digits are shown
DRAWN = {"loss": ("loss", 0.02), "rate": ("rate", 2e-5), "gradient": ("gradient_norm", 0.1)}
HOSTILE = "<script>alert(1)</script>", "שלום עולם", "🙂 & <b>"


def step_slider(page: Page):
    return page.get_by_role("slider", name="Step")


def run_button(page: Page, name: str):
    return page.locator("button.run").filter(has_text=name)


def pixel_of(page: Page, step: float) -> tuple[float, float]:
    """Where a step lies on the screen, by the printed ticks."""
    marks, box = ticks(page, "step"), page.locator(".plot").bounding_box()
    assert box
    slope, start = np.polyfit(marks[:, 0], marks[:, 1], 1)
    wide = page.locator(".plot").evaluate("svg => svg.viewBox.baseVal.width")
    return box["x"] + (slope * step + start) * box["width"] / wide, box["y"] + 120


def check_curve(page: Page, panel: str, kind: str, run: int, steps, values, atol, **log) -> None:
    drawn = curve(page, panel, kind, run, **log)
    assert len(drawn) == len(steps)
    np.testing.assert_allclose(drawn[:, 0], steps, atol=0.2, rtol=1e-3)
    np.testing.assert_allclose(drawn[:, 1], values, atol=atol, rtol=2e-3 if log else 0)


# What is drawn


@pytest.mark.parametrize("log_loss", [False, True])
@pytest.mark.parametrize("log_step", [False, True])
def test_curves_stand_where_their_numbers_say(show, log_loss, log_step):
    runs = [history(47, seed=1), history(53, seed=2, every=3)]
    page = show(TrainingCurves(runs), height=1200)
    for name, on in (("log loss", log_loss), ("log steps", log_step)):
        page.get_by_role("checkbox", name=name).set_checked(on)
    for i, run in enumerate(runs):
        for panel, (column, atol) in DRAWN.items():
            log = log_loss and panel == "loss"
            check_curve(
                page, panel, "line", i, run["step"], run[column], atol, log=log, log_step=log_step
            )
        check_curve(
            page,
            "loss",
            "check",
            i,
            run["validation_step"],
            run["validation_loss"],
            0.02,
            log=log_loss,
            log_step=log_step,
        )
    shown = page.locator("svg[data-panel='loss'] [data-curve='check']").first
    assert shown.get_attribute("stroke-dasharray")  # validation is dashed, training is not
    assert not page.locator("[data-curve='line']").first.get_attribute("stroke-dasharray")


def test_panels_share_the_axis_of_steps(show):
    page = show(TrainingCurves(history(61)))
    for panel in ("rate", "gradient"):
        at, over = (lines(page, p, "line", 0)[0][:, 0] for p in (panel, "loss"))
        np.testing.assert_array_equal(at, over)
    bare = {name: history(9)[name] for name in ("step", "loss")}
    page = show(TrainingCurves(bare))
    assert page.locator(".plot svg[data-panel]:visible").count() == 1
    assert cells(page, 0).keys() == {"loss"}


@pytest.mark.parametrize("keys", [["End"], ["Home"], ["PageUp", "ArrowRight"]])
def test_smoothing_is_the_formula(show, keys):
    run = history(71)
    page = show(TrainingCurves(run, smoothing=0.37), height=1200)
    slider = page.get_by_role("slider", name="smoothing")
    assert slider.input_value() == "0.37"
    for key in keys:
        slider.press(key)
    beta = float(slider.input_value())
    assert beta != 0.37
    for panel, column, atol in (("loss", "loss", 0.02), ("gradient", "gradient_norm", 0.1)):
        check_curve(page, panel, "line", 0, run["step"], smoothed(run[column], beta), atol)
    check_curve(page, "rate", "line", 0, run["step"], run["rate"], 2e-5)
    check_curve(page, "loss", "check", 0, run["validation_step"], run["validation_loss"], 0.02)
    if beta:
        corners = curve(page, "loss", "raw", 0)  # faint, two pixels wide at least
        found = np.interp(run["step"], *corners.T)
        assert np.abs(found - run["loss"]).max() < 0.02
        wanted = smoothed(run["loss"], beta)[-1]
        assert number(cells(page, 0)["smoothed"]) == pytest.approx(wanted, rel=DIGITS)
    else:
        assert path(page, "loss", "raw", 0) == ""
        assert "smoothed" not in cells(page, 0)
    assert number(cells(page, 0)["loss"]) == pytest.approx(run["loss"][-1], rel=DIGITS)


def band_edges(page: Page, run: int) -> tuple[np.ndarray, np.ndarray]:
    """The lower and the upper edge of a drawn band, over the steps."""
    (corners,) = lines(page, "loss", "band", run)
    values = to_values(page, "loss", corners[:, 1])
    half = len(values) // 2
    np.testing.assert_array_equal(corners[:half, 0], corners[half:, 0][::-1])
    return values[half:][::-1], values[:half]


@pytest.mark.parametrize("smoothing", [0.0, 0.9])
def test_bands_over_seeds(show, smoothing):
    seeds = [history(61, seed=i) for i in range(5)]
    losses = np.array([seed["loss"] for seed in seeds])
    page = show(TrainingCurves({"AdamW": seeds}, smoothing=smoothing), height=1200)
    mean, deviation = losses.mean(0), losses.std(0, ddof=1)
    said = {
        "range": (losses.min(0), losses.max(0), "from the lowest to the highest"),
        "deviation": (mean - deviation, mean + deviation, "of one standard deviation"),
    }
    for band, (low, high, words) in said.items():
        page.get_by_role("combobox", name="band over seeds").select_option(band)
        check_curve(page, "loss", "line", 0, seeds[0]["step"], smoothed(mean, smoothing), 0.02)
        found = band_edges(page, 0)
        for edge, wanted in zip(found, (low, high), strict=True):
            np.testing.assert_allclose(edge, smoothed(wanted, smoothing), atol=0.02)
        assert words in page.locator(".key").inner_text()
        value, edges = cells(page, 0)["loss"].split(" | ")
        assert number(value) == pytest.approx(mean[-1], rel=DIGITS)
        shown = [number(x) for x in edges.split(" to ")]
        assert shown == pytest.approx([low[-1], high[-1]], rel=DIGITS)


def test_seeds_of_other_steps_and_lengths(show):
    a, b = history(30, seed=1, every=2, start=2), history(20, seed=2, every=3, start=3)
    page = show(TrainingCurves([history(9, seed=3), a]))
    assert not page.get_by_role("combobox", name="band").is_visible()  # no run has two seeds
    page = show(TrainingCurves({"both": [a, b]}))
    at = {step: [] for step in sorted({*a["step"], *b["step"]})}
    for seed in (a, b):
        for step, loss in zip(seed["step"], seed["loss"], strict=True):
            at[step].append(loss)
    check_curve(page, "loss", "line", 0, list(at), [np.mean(v) for v in at.values()], 0.02)
    step_slider(page).press("Home")
    assert "1 of 2 seeds" in cells(page, 0)["loss"]
    for _ in range(3):
        step_slider(page).press("ArrowRight")
    assert page.locator(".now").inner_text() == "Step 6"
    assert "of 2 seeds" not in cells(page, 0)["loss"]
    assert number(cells(page, 0)["loss"].split(" |")[0]) == pytest.approx(
        np.mean(at[6]), rel=DIGITS
    )


def test_a_long_run_is_drawn_by_its_extremes(show):
    run = history(5000, checks=500)
    page = show(TrainingCurves(run))
    (corners,) = lines(page, "loss", "line", 0)
    values = to_values(page, "loss", corners[:, 1])
    assert len(corners) < 1400
    place = page.locator("svg[data-panel='loss']")
    left, wide = (float(place.get_attribute(name) or 0) for name in ("x", "width"))
    loss = np.array(run["loss"])
    columns = np.floor((np.array(run["step"]) - 1) / 4999 * wide)
    drawn = np.floor(corners[:, 0] - left)
    checked = 0
    for column in np.unique(columns)[5:-5:7]:
        wanted = loss[columns == column]
        near = values[np.abs(drawn - column) <= 1]
        assert np.abs(near - wanted.min()).min() < 0.01
        assert np.abs(near - wanted.max()).min() < 0.01
        checked += 1
    assert checked > 80
    for step in (2, 1717, 4999):  # what is read is no extreme of a column, but the value itself
        page.mouse.move(*pixel_of(page, step))
        page.wait_for_function("!document.querySelector('.now').textContent.includes('last')")
        read = int(number(page.locator(".now").inner_text().split()[1]))
        assert abs(read - step) <= 4
        page.wait_for_timeout(50)
        read = int(page.locator(".now").inner_text().split()[1])
        assert number(cells(page, 0)["loss"]) == pytest.approx(loss[read - 1], rel=DIGITS)


# Reading


def check_reading(page: Page, runs: dict[str, dict], step: int) -> None:
    """The table, the screen reader's text and the dots, at one step, for all runs."""
    assert page.locator(".now").inner_text().startswith(f"Step {step}")
    for i, (name, run) in enumerate(runs.items()):
        here, heard = cells(page, i), spoken_values(page, name)
        for column, said, steps, values in (
            ("loss", "training loss", "step", "loss"),
            ("validation", "validation loss", "validation_step", "validation_loss"),
            ("rate", "learning rate", "step", "rate"),
            ("gradient", "gradient norm", "step", "gradient_norm"),
        ):
            known = [k for k, at in enumerate(run[steps]) if at <= step]
            if not known:
                assert here[column] == "–"
                assert said not in heard
                continue
            at, value = run[steps][known[-1]], run[values][known[-1]]
            shown, _, more = here[column].partition(" | ")
            assert number(shown) == pytest.approx(value, rel=DIGITS, abs=1e-9)
            assert more == ("" if at == step else f"at {at}")
            assert heard[said] == pytest.approx(value, rel=DIGITS, abs=1e-9)
            panel = "loss" if column == "validation" else column
            dot = page.locator(f".dot[data-dot='{column}'][data-run='{i}']")
            spot = float(dot.get_attribute("cy") or 0)
            title = {"rate": "learning rate", "gradient": "gradient norm"}.get(panel, "loss")
            tolerance = 0.02 * max(run[values])
            assert to_values(page, title, [spot])[0] == pytest.approx(value, abs=tolerance)


RUNS = {"AdamW": history(97, seed=1), "SGD": history(50, seed=2, every=2, checks=5)}


def test_pointing_reads_all_runs(show):
    page = show(TrainingCurves(RUNS), height=1200)
    check_reading(page, RUNS, 99)  # at first the last
    for step in (31, 6, 80, 1, 97):
        page.mouse.move(*pixel_of(page, step))
        page.wait_for_function(
            f"document.querySelector('.now').textContent.split(' ')[1] === '{step}'"
        )
        check_reading(page, RUNS, step)
        cross = page.locator(".cross").get_attribute("d") or ""
        marks = ticks(page, "step")
        slope, start = np.polyfit(marks[:, 0], marks[:, 1], 1)
        xs = [float(x) for x in re.findall(r"M([\d.]+) ", cross)]
        assert len(xs) == 3
        assert xs == pytest.approx([slope * step + start] * 3, abs=0.2)
    page.mouse.move(3, 3)
    page.wait_for_function("document.querySelector('.now').textContent.includes('the last')")
    page.mouse.click(*pixel_of(page, 44))  # a click keeps it
    page.mouse.move(3, 3)
    page.wait_for_timeout(100)
    check_reading(page, RUNS, 44)


def test_arrow_keys_read_all_runs(show):
    page = show(TrainingCurves(RUNS, step=40), height=1200)
    check_reading(page, RUNS, 40)
    slider = step_slider(page)
    steps = sorted({step for run in RUNS.values() for step in run["step"]})
    here = steps.index(40)
    tenth = round(len(steps) / 10)
    for key, by in (
        ("ArrowRight", 1),
        ("ArrowRight", 1),
        ("ArrowLeft", -1),
        ("PageDown", -tenth),
        ("PageUp", tenth),
        ("Home", -1000),
        ("ArrowLeft", -1),
        ("End", 1000),
        ("ArrowRight", 1),
    ):
        slider.press(key)
        here = min(max(here + by, 0), len(steps) - 1)
        check_reading(page, RUNS, steps[here])
        assert slider.get_attribute("aria-valuenow") == str(steps[here])
    assert slider.get_attribute("aria-valuemin") == "1"
    assert slider.get_attribute("aria-valuemax") == "99"


# Hiding and zooming


def test_a_click_hides_and_shows_a_run(show):
    low = history(40, seed=1)
    high = low | {"loss": [100 + x for x in low["loss"]]}
    page = show(TrainingCurves({"low": low, "high": high}, step=7), height=1200)
    assert ticks(page, "loss")[:, 0].max() >= 100
    for press in ("click", "Enter"):
        button = run_button(page, "high")
        button.click() if press == "click" else button.press(press)
        assert button.get_attribute("aria-pressed") == "false"
        assert ticks(page, "loss")[:, 0].max() < 10  # the axis belongs to what is shown
        check_curve(page, "loss", "line", 0, low["step"], low["loss"], 0.02)
        for kind in ("line", "check", "mark", "point"):
            assert path(page, "loss", kind, 1) == ""
        assert "high" not in spoken(page)
        assert "low: training loss" in spoken(page)
        assert page.locator(".dot[data-run='1']").count() == 0
        run_button(page, "high").press("Space")
        assert button.get_attribute("aria-pressed") == "true"
        check_curve(page, "loss", "line", 1, high["step"], high["loss"], 0.5)
    run_button(page, "high").click()
    run_button(page, "low").click()
    assert page.locator(".nothing").text_content() == "all runs are hidden"


def zoomed(page: Page) -> list[int]:
    said = re.search(r"steps (\d+) to (\d+) enlarged", page.locator(".now").inner_text())
    return [int(said[1]), int(said[2])] if said else []


def check_zoom(page: Page, run: dict, first: int, last: int) -> None:
    assert zoomed(page) == [first, last]
    inside = [k for k, step in enumerate(run["step"]) if first <= step <= last]
    drawn = curve(page, "loss", "line", 0)
    at = drawn[:, 0].round().astype(int) - run["step"][0]
    assert {*inside} <= {*at} <= {*range(inside[0] - 1, inside[-1] + 2)}  # and a neighbour
    np.testing.assert_allclose(drawn[:, 1], np.array(run["loss"])[at], atol=0.02)
    place = page.locator("svg[data-panel='loss']")
    corner, wide = (float(place.get_attribute(name) or 0) for name in ("x", "width"))
    ends = to_values(page, "step", [corner, corner + wide])
    np.testing.assert_allclose(ends, [first, last], atol=0.02 * (last - first))


def test_a_drag_enlarges_a_range_of_steps(show):
    run = history(97)
    page = show(TrainingCurves(run), height=1200)
    for first, last in ((20, 61), (55, 32)):  # the second inside the first, and from right to left
        (x, y), (to, _) = pixel_of(page, first), pixel_of(page, last)
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move((x + to) / 2, y + 30, steps=3)
        assert float(page.locator(".drag").get_attribute("width")) > 20
        page.mouse.move(to, y + 5, steps=3)
        page.mouse.up()
        page.wait_for_function(f"document.querySelector('.now').textContent.includes('{last}')")
        check_zoom(page, run, min(first, last), max(first, last))
        assert page.locator(".drag").get_attribute("width") == "0"
    page.get_by_role("button", name="Whole run").click()
    assert zoomed(page) == []
    check_curve(page, "loss", "line", 0, run["step"], run["loss"], 0.02)
    assert not page.get_by_role("button", name="Whole run").is_visible()


def test_keys_and_wheel_zoom_about_a_step(show):
    run = history(97)
    page = show(TrainingCurves(run, step=33), height=1200)
    slider = step_slider(page)
    slider.press("+")
    scale = 1.25**2
    first, last = round(33 - 32 / scale), round(33 + 64 / scale)
    check_zoom(page, run, first, last)
    slider.press("-")
    assert zoomed(page) == []
    slider.press("+")
    slider.press("+")
    assert zoomed(page)[0] > first
    slider.press("Escape")
    assert zoomed(page) == []
    page.mouse.move(*pixel_of(page, 65))
    page.mouse.wheel(0, -100)
    page.wait_for_function("document.querySelector('.now').textContent.includes('enlarged')")
    check_zoom(page, run, round(65 - 64 / 1.25), round(65 + 32 / 1.25))
    slider.evaluate("node => node.blur()")
    before = zoomed(page)
    page.mouse.wheel(0, -100)  # not in hand: the page's own
    page.wait_for_timeout(150)
    assert zoomed(page) == before
    page.keyboard.down("Control")
    page.mouse.wheel(0, 300)
    page.keyboard.up("Control")
    page.wait_for_function("!document.querySelector('.now').textContent.includes('enlarged')")


def test_zoom_from_python_and_links(show):
    run = history(97)
    first, second = TrainingCurves(run, zoom=[10, 30]), TrainingCurves(run)
    page = show(first, second, ipywidgets.jslink((first, "zoom"), (second, "zoom")))
    for i in (0, 1):
        assert "steps 10 to 30 enlarged" in page.locator(".now").nth(i).inner_text()
    page.get_by_role("button", name="Whole run").nth(1).click()
    for i in (0, 1):
        assert "enlarged" not in page.locator(".now").nth(i).inner_text()


# What is out of the ordinary


def test_a_run_that_diverged_has_a_gap_and_says_so(show):
    run = history(60)
    run["loss"][20:23] = [float("nan"), float("inf"), float("nan")]
    run["loss"][40] = float("nan")
    run["validation_loss"][-1] = float("inf")
    run["gradient_norm"][21] = float("inf")
    run["gradient_norm"][5] = float("nan")  # not measured: no news
    page = show(TrainingCurves({"SGD": run}, step=22))
    pieces = lines(page, "loss", "line", 0)
    assert [len(piece) for piece in pieces] == [20, 17, 19]
    for piece, part in zip(pieces, (slice(0, 20), slice(23, 40), slice(41, 60)), strict=True):
        drawn = to_values(page, "loss", piece[:, 1])
        np.testing.assert_allclose(drawn, run["loss"][part], atol=0.02)
    notes = page.locator(".notes li").all_inner_texts()
    last = run["validation_step"][-1]
    assert notes == [
        "SGD: training loss is not finite at 4 of 60 steps, steps 21 to 41: drawn as a gap.",
        f"SGD: validation loss is not finite at 1 of 8 steps, step {last}: drawn as a gap.",
        "SGD: gradient norm is not finite at 1 of 60 steps, step 22: drawn as a gap.",
    ]
    assert path(page, "loss", "gap", 0).count("M") == 2  # a cross each for training and validation
    assert cells(page, 0)["loss"] == "∞"
    assert "training loss ∞" in spoken(page)
    assert cells(page, 0)["gradient"] == "∞"
    step_slider(page).press("ArrowLeft")
    assert cells(page, 0)["loss"] == "NaN"
    beta = 0.9
    page = show(TrainingCurves({"SGD": run}, smoothing=beta))
    drawn = [to_values(page, "loss", piece[:, 1]) for piece in lines(page, "loss", "line", 0)]
    wanted = smoothed(run["loss"], beta)
    np.testing.assert_allclose(np.concatenate(drawn), wanted[np.isfinite(wanted)], atol=0.02)


def test_one_seed_that_diverged_makes_a_gap_in_the_mean(show):
    seeds = [history(30, seed=i) for i in range(3)]
    seeds[1]["loss"][10] = float("nan")
    page = show(TrainingCurves({"a": seeds}))
    for kind in ("line", "band"):
        assert len(lines(page, "loss", kind, 0)) == 2
    note = page.locator(".notes").inner_text()
    assert note == (
        "a: training loss is not finite in at least one seed at 1 of 30 steps, step 11: "
        "drawn as a gap."
    )


def test_what_a_logarithm_cannot_take(show):
    run = {"step": [0, 1, 2, 3, 4], "loss": [2.0, 1.0, 0.0, -1.0, 0.5]}
    page = show(TrainingCurves(run))
    assert len(lines(page, "loss", "line", 0)[0]) == 5
    assert "logarithmic" not in page.locator(".key").inner_text()
    page.get_by_role("checkbox", name="log loss").check()
    assert [len(piece) for piece in lines(page, "loss", "line", 0)] == [2, 1]
    assert "A loss of 0 or less has no place" in page.locator(".key").inner_text()
    page.get_by_role("checkbox", name="log steps").check()
    assert [len(piece) for piece in lines(page, "loss", "line", 0)] == [1, 1]
    assert "Step 0 has no place" in page.locator(".key").inner_text()
    assert "NaN" not in page.locator(".plot").inner_html()


def test_an_empty_history_says_so(show):
    page = show(TrainingCurves(), TrainingCurves({"a": {"step": [], "loss": []}}))
    for i in (0, 1):
        view = page.locator(".ug").nth(i)
        assert view.locator(".nothing").text_content() == "no steps yet"
        assert view.locator(".now").inner_text() == "no steps yet"
        slider = view.get_by_role("slider", name="Step")
        assert slider.get_attribute("aria-valuetext") == "no steps yet"
        for key in ("ArrowLeft", "+", "0"):
            slider.press(key)
        assert "NaN" not in view.locator(".plot").inner_html()


def test_a_single_step_is_a_dot(show):
    page = show(TrainingCurves({"step": [5], "loss": [2.0]}))
    assert path(page, "loss", "line", 0).endswith("h0")
    ((x, y),) = lines(page, "loss", "line", 0)[0]
    assert to_values(page, "loss", [y])[0] == pytest.approx(2.0, abs=0.01)
    assert cells(page, 0)["loss"] == "2.0000"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_hostile_names_are_text(show, theme):
    runs = {name: history(20, seed=i) for i, name in enumerate(HOSTILE)}
    page = show(TrainingCurves(runs), theme=theme)
    assert page.locator("button.run bdi").all_inner_texts() == list(HOSTILE)
    assert page.locator(".ug script, .ug b").count() == 0
    for name in HOSTILE:
        assert f"{name}: training loss" in spoken(page)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as SVG").click()
    text = saved.value.path().read_text("utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;</text>" in text
    assert "<script" not in text
    run_button(page, "שלום").click()
    assert run_button(page, "שלום").get_attribute("aria-pressed") == "false"


# Appearance


def test_saved_picture(show):
    runs = {"AdamW": [history(30, seed=i) for i in range(2)], "SGD": history(30, seed=2)}
    page = show(TrainingCurves(runs, smoothing=0.5, hidden=["SGD"]), theme="dark")
    before = page.locator(".ug").evaluate("view => view.outerHTML")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as SVG").click()
    assert page.locator(".ug").evaluate("view => view.outerHTML") == before
    assert saved.value.suggested_filename == "training.svg"
    text = saved.value.path().read_text("utf-8")
    assert path(page, "loss", "line", 0) in text
    assert "AdamW (2 seeds: mean, band from the lowest to the highest)" in text
    assert ">SGD" not in text
    assert 'stroke="rgb(77, 163, 224)"' in text  # the theme's own colours, written out
    assert "var(" not in text
    assert "NaN" not in text
    page.goto("about:blank")
    page.set_content(text)
    box = page.locator("svg").first.bounding_box()
    assert box["width"] > 600
    assert page.locator("text", has_text="AdamW").bounding_box()["y"] < box["y"] + box["height"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_runs_are_told_apart_in_both_themes(show, theme):
    page = show(TrainingCurves([history(20, seed=i) for i in range(11)]), theme=theme)
    back = luminance(page.locator(".ug").evaluate("e => getComputedStyle(e).backgroundColor"))
    colours = page.locator("svg[data-panel='loss'] [data-curve='line']").evaluate_all(
        "all => all.map(e => getComputedStyle(e).stroke)"
    )
    assert len(set(colours)) == 8
    for colour in colours:
        bright, dark = sorted([luminance(colour) + 0.05, back + 0.05], reverse=True)
        assert bright / dark >= 3
    marks = page.locator("button.run svg path:last-child").evaluate_all(
        "all => all.map(e => e.getAttribute('d') + getComputedStyle(e).fill)"
    )
    shapes = {mark.split("rgb")[0] for mark in marks}
    assert len(shapes) == 8  # without any colour
    assert len(set(marks)) == 11  # runs of one colour have another mark


def test_fits_a_phone(show):
    runs = {"AdamW": [history(90, seed=i) for i in range(3)], "a" * 60: history(90), **RUNS}
    page = show(TrainingCurves(runs, smoothing=0.6, zoom=[10, 80]), width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    cut = page.locator(".ug :is(text, td, th, button, label):visible").evaluate_all(
        "all => all.filter(t => { const b = t.getBoundingClientRect(); "
        "return b.width && (b.left < 0 || b.right > innerWidth) }).map(t => t.textContent)"
    )
    assert cut == []
    x, y = pixel_of(page, 33)
    page.touchscreen.tap(x, y)
    page.wait_for_function("document.querySelector('.now').textContent.startsWith('Step 33')")
    assert number(cells(page, 1)["loss"]) == pytest.approx(history(90)["loss"][32], rel=DIGITS)


def test_the_picture_follows_the_width(show):
    run = history(61)
    page = show(TrainingCurves(run), height=1200)
    for width in (500, 900, 360):
        page.set_viewport_size({"width": width, "height": 1200})
        page.wait_for_function(
            "() => { const svg = document.querySelector('.plot'); "
            "return Math.abs(svg.viewBox.baseVal.width - svg.parentNode.clientWidth) <= 1 }"
        )
        check_curve(page, "rate", "line", 0, run["step"], run["rate"], 2e-5)


# Growing


GROW = """async ([source, traits]) => {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const { default: widget } = await import(url);
  const read = (value) => value?.base64 === undefined ? value
    : new DataView(Uint8Array.from(atob(value.base64), (c) => c.charCodeAt(0)).buffer);
  const all = (values) => Object.fromEntries(Object.entries(values).map(([k, v]) => [k, read(v)]));
  const state = all(traits), heard = new Set(), place = document.createElement("div");
  const model = { get: (name) => state[name], save_changes() {},
    set(changes) { Object.assign(state, changes);
      for (const name of Object.keys(changes))
        for (const { f, event } of heard) if (event === `change:${name}`) f(); },
    on(event, f) { heard.add({ event, f }); },
    off(event, f) {
      for (const one of heard) if (one.f === f && one.event === event) heard.delete(one); } };
  window.arrive = (changes) => model.set(all(changes));
  window.heard = heard;
  window.stop = widget.render({ model, el: place });
  document.querySelector(".ug").replaceWith(place);
}"""


def as_json(state: dict) -> dict:
    """Traits as a page can be given them."""
    return {
        name: {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
        for name, value in state.items()
        if name in TrainingCurves.class_trait_names(sync=True)
        and (name[0] != "_" or name in ("_runs", "_old", "_recent", "_new"))
    }


def grown(page: Page, curves: TrainingCurves) -> list[dict]:
    """Show `curves` in a page that hears of every change, as a notebook does."""
    page.evaluate(GROW, [curves._esm, as_json(curves.get_state())])
    messages = []

    def hear(msg, buffers=None):
        state = dict(msg["state"])
        for where, buffer in zip(msg["buffer_paths"], buffers or [], strict=True):
            state[where[0]] = bytes(buffer)
        messages.append(state)
        page.evaluate("changes => arrive(changes)", as_json(state))

    curves._send = hear
    return messages


def test_the_picture_grows_with_the_run(show):
    whole, other = history(700, seed=1, checks=50), history(40, seed=2)

    def after(rows):
        checks = sum(step <= rows for step in whole["validation_step"])
        return {k: v[: checks if k.startswith("val") else rows] for k, v in whole.items()}

    curves = TrainingCurves({"now": after(2), "before": other})
    page = show(TrainingCurves(), height=1200)
    messages = grown(page, curves)
    for rows in (3, 40, 290, 310, 600):
        curves.update({"now": after(rows)})
        curves.flush()
        for i, (run, most) in enumerate(((whole, rows), (other, 40))):
            if rows < 300:  # after that a column of pixels holds more than one step
                check_curve(page, "loss", "line", i, run["step"][:most], run["loss"][:most], 0.02)
            end = curve(page, "loss", "line", i)[-1]
            np.testing.assert_allclose(end, [most, run["loss"][most - 1]], atol=0.5)
        shown = cells(page, 0)["loss"].split(" | ")[0]  # before step 40 the other run is longer
        assert number(shown) == pytest.approx(whole["loss"][rows - 1], rel=DIGITS)
    assert any("_recent" in message for message in messages)
    # a place that the reader has enlarged stays; a page made from the state alone is the same
    page.evaluate("arrive({ zoom: [100, 150], step: 120 })")
    curves.update({"now": whole})
    curves.flush()
    check_zoom(page, whole, 100, 150)
    assert number(cells(page, 0)["loss"]) == pytest.approx(whole["loss"][119], rel=DIGITS)
    page.evaluate("arrive({ zoom: [], step: null })")
    line = path(page, "loss", "line", 0)
    again = show(curves, height=1200)
    assert path(again, "loss", "line", 0) == line
    # another history of as many rows, a run that went back, and one that is new
    changed = whole | {"loss": [x + 1 for x in whole["loss"]]}
    curves.update({"now": changed})
    curves.flush()
    assert number(cells(page, 0)["loss"]) == pytest.approx(changed["loss"][-1], rel=DIGITS)
    assert path(page, "loss", "line", 0) != line
    curves.update({"now": after(20), "third": other})
    curves.flush()
    check_curve(page, "loss", "line", 0, whole["step"][:20], whole["loss"][:20], 0.02)
    check_curve(page, "loss", "line", 2, other["step"], other["loss"], 0.02)
    assert page.locator("button.run").all_inner_texts() == ["now", "before", "third"]


def test_the_first_steps_arrive_in_an_empty_picture(show):
    curves = TrainingCurves()
    page = show(TrainingCurves())
    grown(page, curves)
    assert page.locator(".nothing").text_content() == "no steps yet"
    curves.append(1, 3.0)
    curves.append(2, 2.5, rate=0.1)
    curves.flush()
    assert page.locator(".nothing").count() == 0
    check_curve(page, "loss", "line", 0, [1, 2], [3.0, 2.5], 0.01)
    assert cells(page, 0) == {"loss": "2.5000", "rate": "0.10000"}
    page.evaluate("stop()")
    assert page.evaluate("heard.size") == 0


# Speed

HOVER = """node.box ??= node.getBoundingClientRect();
node.dispatchEvent(new PointerEvent('pointermove', { bubbles: true,
  clientX: node.box.left + 50 + 2 * n, clientY: node.box.top + 90 }))"""
SLIDE = "node.value = 0.5 + 0.01 * (n % 40); node.dispatchEvent(new Event('input'))"
ZOOM = "node.dispatchEvent(new KeyboardEvent('keydown', { key: n % 2 ? '-' : '+' }))"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "selector", "update"),
    [
        ("hover", ".ground", HOVER),
        ("smoothing", "input[type=range]", SLIDE),
        ("hide", "button.run >> nth=3", "node.click()"),
        ("zoom", ".ground", ZOOM),
    ],
)
def test_an_update_of_8_runs_takes_at_most_8_ms_of_script(show, what, selector, update):
    runs = [history(5000, seed=i, checks=100) for i in range(8)]
    page = show(TrainingCurves(runs, smoothing=0.9, log_loss=True))
    spent = script_time(page, page.locator(selector), update, 100)
    print(f"{what}: script time of an update {spent:.2f} ms")
    assert 0.05 < spent <= 8  # less than that, and nothing was drawn


@pytest.mark.slow
def test_a_growing_run_beside_7_others_takes_at_most_8_ms_of_script(show):
    runs = [history(5000, seed=i, checks=100) for i in range(8)]
    short = {k: v[:4900] if k[:3] != "val" else v[:49] for k, v in runs[7].items() if k != "name"}
    curves = TrainingCurves({**{f"{i}": runs[i] for i in range(7)}, "now": short}, smoothing=0.9)
    page = show(TrainingCurves())
    messages = grown(page, curves)
    curves.update({"now": runs[7]})
    curves.flush()
    (message,) = messages
    assert set(message) == {"_new"}
    page.evaluate("m => { window.message = m }", as_json(message))
    update = "arrive(n % 2 ? { _new: null } : message)"
    spent = script_time(page, page.locator(".ug"), update, 100)
    print(f"growing: script time of an update {spent:.2f} ms")
    assert 0.05 < spent <= 8
