"""The rate finder: the page after real clicks, drags and keys, against numpy."""

import re

import ipywidgets
import numpy as np
import pytest
from curve_cases import smoothed, ticks, to_values
from driving import luminance, number
from playwright.sync_api import Page
from rate_cases import (
    DIVERGED,
    RATES,
    STEPS,
    drawn_curve,
    finals,
    grid,
    lost_steps,
    mean_curve,
    pixel_of_rate,
    valley_points,
    whole_rates,
)
from underglass.widgets import RateFinder

pytestmark = pytest.mark.browser

DIGITS = 6e-5  # five digits are shown
NEAR = 0.006  # of the drawn losses: a tenth of a pixel is about 0.001
GRID = grid()
HOSTILE = "<script>alert(1)</script>", "שלום עולם", "🙂 & <b>"


def rate_slider(page: Page):
    return page.get_by_role("slider", name="learning rate")


def words(page: Page) -> str:
    return page.locator(".now").inner_text()


def choose(page: Page, optimizer: str) -> None:
    page.get_by_role("combobox", name="optimizer").select_option(label=optimizer)


def behind(page: Page, what: str) -> None:
    page.get_by_role("combobox", name="behind it").select_option(label=what)


def shown(page: Page, optimizer: str):
    return page.get_by_role("checkbox", name=optimizer, exact=True)


def chosen(page: Page) -> tuple[str, float]:
    """Optimizer and rate, as the controls say them."""
    select = page.get_by_role("combobox", name="optimizer")
    name = select.evaluate("node => node.selectedOptions[0].textContent")
    return name, number((rate_slider(page).get_attribute("aria-valuetext") or "").split(" ")[0])


def check_words(page: Page, data: dict, name: str, rate: float) -> None:
    """What is said of a rate, against the histories."""
    losses, lost = finals(data[name][rate]), lost_steps(name, rate)
    said, seeds = words(page), len(data[name][rate])
    assert said.startswith(f"{name} at rate {rate:g}")
    if losses:
        found = re.search(r"loss ([\d.]+), mean .*\(lowest ([\d.]+), highest ([\d.]+)\)", said)
        assert found
        wanted = [np.mean(losses), min(losses), max(losses)]
        assert [number(x) for x in found.groups()] == pytest.approx(wanted, rel=DIGITS)
    if lost:
        steps = " and ".join(str(step) for step in sorted({*lost}))
        among = f"all {seeds} seeds" if len(lost) == seeds else f"{len(lost)} of {seeds} seeds"
        plural = "s" if len({*lost}) > 1 else ""
        assert re.search(rf"[dD]iverged at step{plural} {steps} in {among}\.", said)
        assert "No place among the rates" in said
        return
    assert "iverged" not in said
    means = {r: np.mean(finals(data[name][r])) for r in whole_rates(data, name)}
    place = 1 + sum(bool(other < means[rate]) for other in means.values())
    assert (f"{place}{ {2: 'nd', 3: 'rd'}.get(place, 'th') }" if place > 1 else "The best") in said
    assert f" of {len(data[name])} rates." in said


# The rate


@pytest.mark.parametrize("name", list(RATES))
def test_arrow_keys_step_along_the_grid(show, name):
    page = show(RateFinder(GRID, optimizer=name, rate=RATES[name][0]))
    slider, rates = rate_slider(page), RATES[name]
    for i, rate in enumerate(rates):
        assert slider.get_attribute("aria-valuetext") == f"{rate:g} ({i + 1} of {len(rates)})"
        check_words(page, GRID, name, rate)
        slider.press("ArrowRight")
    assert chosen(page) == (name, rates[-1])  # and no further
    slider.press("Home")
    assert chosen(page) == (name, rates[0])
    slider.press("ArrowRight")
    slider.press("ArrowLeft")
    check_words(page, GRID, name, rates[0])


def test_a_drag_in_the_valley_chooses_the_nearest_rate(show):
    page = show(RateFinder(GRID, optimizer="AdamW", rate=0.0003))
    page.mouse.move(*pixel_of_rate(page, 0.0011))
    assert chosen(page) == ("AdamW", 0.0003)  # only pointing
    page.mouse.down()
    assert chosen(page) == ("AdamW", 0.001)
    for to, rate in ((0.0018, 0.003), (0.0016, 0.001), (0.02, 0.03), (0.9, 0.1)):
        page.mouse.move(*pixel_of_rate(page, to), steps=4)
        page.wait_for_function(f"document.querySelector('.now').innerText.includes('rate {rate}')")
        check_words(page, GRID, "AdamW", rate)
    page.mouse.up()
    page.mouse.move(*pixel_of_rate(page, 0.001))
    page.wait_for_timeout(100)
    assert chosen(page) == ("AdamW", 0.1)


def test_best_rate_jumps_to_the_lowest_mean(show):
    page = show(RateFinder(GRID, rate=0.03))
    button = page.get_by_role("button", name="Best rate")
    for name in RATES:
        choose(page, name)
        means = {rate: np.mean(finals(GRID[name][rate])) for rate in whole_rates(GRID, name)}
        button.click()
        assert chosen(page) == (name, min(means, key=means.__getitem__))
        assert "The best of" in words(page)
        assert button.get_attribute("aria-disabled") == "true"
        rate_slider(page).press("End" if chosen(page)[1] != RATES[name][-1] else "Home")
        assert button.get_attribute("aria-disabled") == "false"


def test_another_optimizer_keeps_the_rate_or_takes_the_nearest(show):
    page = show(RateFinder(GRID, optimizer="AdamW", rate=0.003))
    for name, rate in (("Lion", 0.003), ("SGD", 0.03), ("AdamW", 0.03), ("Lion", 0.003)):
        choose(page, name)
        assert chosen(page) == (name, rate)
        check_words(page, GRID, name, rate)
    apart = {"a": {0.5: GRID["SGD"][0.1]}, "b": {0.1: GRID["SGD"][0.1], 1.2: GRID["SGD"][1.0]}}
    page = show(RateFinder(apart))
    choose(page, "b")
    assert chosen(page) == ("b", 1.2)  # a factor of 2.4 away, and 0.1 one of 5


# The training curve


@pytest.mark.parametrize("log_loss", [False, True])
@pytest.mark.parametrize("beta", [0.0, 0.9])
def test_the_curve_is_the_mean_over_seeds_with_a_band(show, beta, log_loss):
    page = show(RateFinder(GRID, optimizer="AdamW", rate=0.001, smoothing=beta))
    page.get_by_role("checkbox", name="log loss").set_checked(log_loss)
    for rate in RATES["AdamW"][1:4]:
        losses = np.array([one["loss"] for one in GRID["AdamW"][rate]])
        ((at, found),) = drawn_curve(page, ".line", log=log_loss)
        np.testing.assert_allclose(at, np.arange(1, STEPS + 1), atol=0.1)
        np.testing.assert_allclose(found, smoothed(losses.mean(0), beta), atol=NEAR)
        ((_, edges),) = drawn_curve(page, ".band", log=log_loss)
        high, low = edges[:STEPS], edges[STEPS:][::-1]
        np.testing.assert_allclose(high, smoothed(losses.max(0), beta), atol=NEAR)
        np.testing.assert_allclose(low, smoothed(losses.min(0), beta), atol=NEAR)
        checks = [one["validation_loss"] for one in GRID["AdamW"][rate]]
        ((at, found),) = drawn_curve(page, ".check", log=log_loss)
        np.testing.assert_allclose(at, GRID["AdamW"][rate][0]["validation_step"], atol=0.1)
        np.testing.assert_allclose(found, np.mean(checks, 0), atol=NEAR)
        rate_slider(page).press("ArrowRight")


def test_the_smoothing_slider(show):
    page = show(RateFinder(GRID, optimizer="SGD", rate=0.3))
    slider = page.get_by_role("slider", name="smoothing")
    for key in ("End", "PageDown"):
        slider.press(key)
        beta = number(slider.get_attribute("aria-valuetext"))
        assert 0.5 < beta <= 0.99
        ((_, found),) = drawn_curve(page, ".line")
        wanted = smoothed(mean_curve(GRID["SGD"][0.3])[1], beta)
        np.testing.assert_allclose(found, wanted, atol=NEAR)
    assert "smoothed" in page.locator(".key").inner_text()


@pytest.mark.parametrize(("name", "rate"), list(DIVERGED))
def test_a_curve_goes_on_with_the_seeds_that_are_left(show, name, rate):
    page = show(RateFinder(GRID, optimizer=name, rate=rate, smoothing=0))
    at, wanted = mean_curve(GRID[name][rate])
    ((steps, found),) = drawn_curve(page, ".line")
    np.testing.assert_allclose(steps, at, atol=0.1)
    np.testing.assert_allclose(found, wanted, atol=NEAR)
    lost, place = sorted({*lost_steps(name, rate)}), page.locator("svg[data-panel='curves']")
    crosses = re.findall(r"M([\d.]+) 4l8 8", place.locator(".lost").get_attribute("d") or "")
    left = float(place.get_attribute("x") or 0)
    middles = to_values(page, "step", [left + float(x) + 4 for x in crosses])
    assert sorted(middles) == pytest.approx(lost, abs=0.2)


def test_behind_it_are_the_other_rates(show):
    page = show(RateFinder(GRID, optimizer="AdamW", rate=0.003, smoothing=0))
    others = page.locator("[data-curve='behind']:visible")
    assert others.count() == len(RATES["AdamW"]) - 1
    for rate in (0.0003, 0.01):
        ((at, found),) = drawn_curve(page, f"[data-curve='behind'][data-rate='{rate}']")
        known = mean_curve(GRID["AdamW"][rate])[1]
        np.testing.assert_allclose(np.interp(range(1, STEPS + 1), at, found), known, atol=NEAR)
        dashes = page.locator(f"[data-rate='{rate}']").evaluate(
            "node => getComputedStyle(node).strokeDasharray"
        )
        assert (dashes != "none") == (rate < 0.003)  # the smaller ones are dotted


def test_behind_it_are_other_optimizers_at_their_best(show):
    page = show(RateFinder(GRID, optimizer="AdamW", rate=0.01, smoothing=0.5))
    page.get_by_role("combobox", name="behind it").select_option(
        label="other optimizers at their best"
    )
    shown(page, "Lion").uncheck()
    assert page.locator("[data-curve='behind']").count() == 1
    ((at, found),) = drawn_curve(page, "[data-curve='behind'][data-optimizer='0']")
    wanted = smoothed(mean_curve(GRID["SGD"][1.0])[1], 0.5)
    np.testing.assert_allclose(np.interp(range(1, STEPS + 1), at, found), wanted, atol=NEAR)
    shown(page, "Lion").press("Space")
    ((at, found),) = drawn_curve(page, "[data-curve='behind'][data-optimizer='2']")
    wanted = smoothed(mean_curve(GRID["Lion"][0.0001])[1], 0.5)
    np.testing.assert_allclose(np.interp(range(1, STEPS + 1), at, found), wanted, atol=NEAR)


# The valley


@pytest.mark.parametrize("log_loss", [False, True])
def test_the_valley_stands_where_its_numbers_say(show, log_loss):
    page = show(RateFinder(GRID, optimizer="SGD", log_loss=log_loss))
    for i, name in enumerate(RATES):
        rates = whole_rates(GRID, name)
        losses = np.array([finals(GRID[name][rate]) for rate in rates])
        for kind, wanted in (("line", losses.mean(1)), ("marks", losses.mean(1))):
            at, found = valley_points(page, kind, i, log=log_loss)
            np.testing.assert_allclose(at, rates, rtol=0.01)
            np.testing.assert_allclose(found, wanted, atol=NEAR)
        at, found = valley_points(page, "band", i, log=log_loss)
        np.testing.assert_allclose(at[: len(rates)], rates, rtol=0.01)
        np.testing.assert_allclose(found, [*losses.max(1), *losses.min(1)[::-1]], atol=NEAR)
        at, found = valley_points(page, "dots", i, log=log_loss)
        seeds = [(rate, loss) for rate in RATES[name] for loss in finals(GRID[name][rate])]
        np.testing.assert_allclose(at, [rate for rate, _ in seeds], rtol=0.01)
        np.testing.assert_allclose(found, [loss for _, loss in seeds], atol=NEAR)


def test_the_chosen_rate_is_marked_at_its_height(show):
    page = show(RateFinder(GRID, optimizer="AdamW"))
    for rate in (0.01, 0.03):
        rate_slider(page).press("ArrowRight")
        ring = page.locator(".ring")
        x, y = (float(ring.get_attribute(name) or 0) for name in ("cx", "cy"))
        assert to_values(page, "rate", [x], log=True)[0] == pytest.approx(rate, rel=0.01)
        wanted = np.mean(finals(GRID["AdamW"][rate]))
        assert to_values(page, "loss", [y])[0] == pytest.approx(wanted, abs=NEAR)
        assert f"H{x:g}" in (page.locator(".level").get_attribute("d") or "")
    choose(page, "SGD")
    rate_slider(page).press("End")
    assert not page.locator(".ring").is_visible()  # all its seeds diverged


def test_a_cross_stands_for_each_seed_that_diverged(show):
    page = show(RateFinder(GRID))
    place = page.locator("svg[data-panel='valley']")
    left, top = (float(place.get_attribute(name) or 0) for name in ("x", "y"))
    rows = set()
    for i, name in enumerate(RATES):
        drawn = page.locator(f"[data-valley='lost'][data-optimizer='{i}']").get_attribute("d")
        pairs = re.findall(r"M([\d.]+) ([\d.]+)l", drawn or "")
        starts = np.array([[float(x), float(y)] for x, y in pairs])
        lost = [rate for rate in RATES[name] for _ in lost_steps(name, rate)]
        assert len(starts) == len(lost)
        if lost:
            assert (starts[:, 1] < top - 2).all()  # above the panel, not in it
            assert starts[:, 0].min() > left
            (rate,) = {*lost}
            middle = to_values(page, "rate", [starts[:, 0].mean() + 2], log=True)[0]
            assert middle == pytest.approx(rate, rel=0.02)
            rows.add(round(starts[0, 1]))
    assert len(rows) == 2  # a row for each optimizer
    assert page.locator("text", has_text="diverged").count() == 1


def test_the_bottom_can_be_enlarged(show):
    page = show(RateFinder(GRID, optimizer="AdamW", rate=0.0003))
    whole = ticks(page, "loss")[:, 0]
    page.get_by_role("checkbox", name="enlarge the bottom").check()
    enlarged = ticks(page, "loss")[:, 0]
    assert np.ptp(enlarged) < 0.4 * np.ptp(whole)
    top = page.locator("svg[data-panel='valley']").get_attribute("y")
    highest = to_values(page, "loss", [float(top or 0)])[0]
    assert not page.locator(".ring").is_visible()
    for i, name in enumerate(RATES):
        above = page.locator(f"[data-valley='above'][data-optimizer='{i}']").get_attribute("d")
        over = [x for rate in RATES[name] for x in finals(GRID[name][rate]) if x > highest]
        assert (above or "").count("M") == len(over) > 0
    assert "Arrow: a seed that ended above the picture." in page.locator(".key").inner_text()
    at, found = valley_points(page, "line", 0)  # its ends above the picture lie on the edge
    means = [np.mean(finals(GRID["SGD"][rate])) for rate in whole_rates(GRID, "SGD")]
    np.testing.assert_allclose(at, whole_rates(GRID, "SGD"), rtol=0.01)
    np.testing.assert_allclose(found, np.minimum(means, highest), atol=NEAR)
    assert max(means) > highest
    at, found = valley_points(page, "marks", 1)
    means = [np.mean(finals(GRID["AdamW"][rate])) for rate in whole_rates(GRID, "AdamW")]
    np.testing.assert_allclose(found, means, atol=NEAR)


def test_optimizers_are_shown_and_hidden(show):
    page = show(RateFinder(GRID, optimizer="AdamW"))
    span = lambda: np.ptp(np.log(ticks(page, "rate")[:, 0]))  # noqa: E731
    before = span()
    for press in ("click", "Space"):
        box = shown(page, "SGD")
        box.click() if press == "click" else box.press("Space")
        assert not page.locator("[data-optimizer='0'][data-valley='marks']").is_visible()
        assert page.locator("[data-optimizer='2'][data-valley='marks']").is_visible()
        assert span() < before  # the axis belongs to what is shown
        box.press("Space")
        assert page.locator("[data-optimizer='0'][data-valley='marks']").is_visible()
        assert span() == before
    shown(page, "SGD").uncheck()
    choose(page, "SGD")  # who is chosen is drawn
    assert page.locator("[data-optimizer='0'][data-valley='marks']").is_visible()
    assert shown(page, "SGD").is_disabled()
    assert shown(page, "SGD").is_checked()


# In words and in numbers


def test_all_numbers_stand_in_a_table(show):
    page = show(RateFinder(GRID, optimizer="SGD", rate=0.3), height=1300)
    for name in ("SGD", "AdamW"):
        choose(page, name)
        if name == "SGD":
            page.locator("summary").click()
        rows = page.locator(".numbers tbody tr")
        means = {r: np.mean(finals(GRID[name][r])) for r in whole_rates(GRID, name)}
        for i, rate in enumerate(RATES[name]):
            cells = rows.nth(i).locator("th, td").all_inner_texts()
            losses, lost = finals(GRID[name][rate]), lost_steps(name, rate)
            assert number(cells[0]) == rate
            wanted = [np.mean(losses), min(losses), max(losses)] if losses else []
            found = [number(x) for x in cells[1:4] if x != "–"]
            assert found == pytest.approx(wanted, rel=DIGITS)
            place = "–" if lost else str(1 + sum(m < means[rate] for m in means.values()))
            assert cells[4] == place
            assert cells[5] == (", ".join(map(str, sorted(lost))) or "–")
        marked = page.locator(".numbers tr[aria-current='true'] th").inner_text()
        assert number(marked) == chosen(page)[1]


def constant(*losses: float) -> dict:
    """One optimizer whose rates 1, 2, 3, ... end at these losses."""
    return {
        float(i + 1): [{"step": list(range(1, 21)), "loss": [9.0] * 18 + [x, x]}]
        for i, x in enumerate(losses)
    }


def table_row(page: Page, name: str) -> list[str]:
    row = page.locator(".values tbody tr").filter(has_text=name)
    return [" | ".join(cell.split("\n")) for cell in row.locator("td").all_inner_texts()]


def test_the_valley_in_words(show):
    data = {
        "inside": constant(4.0, 2.09, 2.0, 2.099, 2.11, 2.05),
        "left": constant(2.0, 2.2, 3.0),
        "right": constant(3.0, 2.2, 2.0),
        "only": constant(2.0),
        "no lower": constant(2.0, 9.5, 3.0),
    }
    page = show(RateFinder(data, optimizer="inside", rate=1.0))
    assert table_row(page, "inside") == ["3", "2.0000", "2 to 4 | a factor of 2"]
    assert table_row(page, "left") == ["1 | smallest of the grid", "2.0000", "1 | this rate alone"]
    assert table_row(page, "right")[0] == "3 | largest of the grid"
    assert table_row(page, "only")[0] == "1 | only of the grid"
    said = {
        ("inside", 1): "6th of 6 rates. Below the valley (2 to 4): too small, it crawls.",
        ("inside", 2): "3rd of 6 rates. In the valley (2 to 4).",
        ("inside", 5): "5th of 6 rates. Above the valley (2 to 4): too large.",
        ("inside", 6): "2nd of 6 rates. Above the valley (2 to 4): too large.",
        ("left", 2): "2nd of 3 rates. Above the valley (1): too large. The best rate is the "
        "smallest of the grid: the optimum may lie beyond its edge.",
        ("right", 3): "The best of 3 rates. In the valley (3). The best rate is the largest of "
        "the grid: the optimum may lie beyond its edge.",
        ("only", 1): "The best of 1 rate. In the valley (1). There is no other rate to compare "
        "it with.",
        ("no lower", 2): "3rd of 3 rates. It ends no lower than it began (9.0000). Above the "
        "valley (1): too large. The best rate is the smallest of the grid: the optimum may lie "
        "beyond its edge.",
    }
    for (name, rate), wanted in said.items():
        choose(page, name)
        rate_slider(page).press("Home")
        for _ in range(rate - 1):
            rate_slider(page).press("ArrowRight")
        losses = data[name][float(rate)][0]["loss"]
        start = f"{name} at rate {rate}: final training loss {losses[-1]:.4f}. "
        assert words(page) == start + wanted


def test_without_validation_the_last_tenth_counts(show):
    data = grid(checks=False)
    page = show(RateFinder(data, optimizer="SGD", rate=0.1))
    losses = [np.mean(one["loss"][-10:]) for one in data["SGD"][0.1]]
    found = re.search(r"final training loss ([\d.]+), mean of 3 seeds \(lowest", words(page))
    assert found
    assert number(found[1]) == pytest.approx(np.mean(losses), rel=DIGITS)
    key = page.locator(".key").inner_text()
    assert "Final loss: the mean over the last tenth of the training losses." in key
    assert "validation" not in key
    assert page.locator(".check").get_attribute("d") == ""


def test_an_optimizer_that_always_diverges(show):
    gone = {"step": [1, 2], "loss": [3.0, float("inf")]}
    page = show(RateFinder({"a": {1.0: gone, 2.0: [gone, gone]}, "b": constant(2.0, 1.0)}))
    assert words(page) == (
        "a at rate 1 diverged at step 2. No place among the rates: a seed was lost. "
        "No rate of this grid brought every seed to the end."
    )
    button = page.get_by_role("button", name="Best rate")
    assert button.get_attribute("aria-disabled") == "true"
    button.press("Enter")
    assert chosen(page) == ("a", 1.0)
    assert table_row(page, "a")[0] == "none | diverged at every rate"
    page.get_by_role("combobox", name="behind it").select_option(
        label="other optimizers at their best"
    )
    choose(page, "b")
    assert page.locator("[data-curve='behind']").count() == 0
    page = show(RateFinder({"a": {1.0: gone}, "none": {1.0: {"step": [], "loss": []}}}))
    assert "diverged at step 2." in words(page)
    choose(page, "none")
    assert "diverged at step 1." in words(page)
    assert "NaN" not in page.locator(".plot").inner_html()
    assert "Infinity" not in page.locator(".plot").inner_html()


# Traits


def test_traits_from_python_and_links(show):
    options = {"smoothing": 0.5, "log_loss": True, "bottom": True, "compare": "optimizers"}
    first = RateFinder(GRID, optimizer="AdamW", rate=0.01, hidden=["Lion"], **options)
    second = RateFinder(GRID, optimizer="AdamW")
    links = [ipywidgets.jslink((first, name), (second, name)) for name in ("rate", "optimizer")]
    page = show(first, second, *links, height=1800)
    view, other = page.locator(".ug").nth(0), page.locator(".ug").nth(1)
    assert view.get_by_role("checkbox", name="log loss").is_checked()
    assert view.get_by_role("checkbox", name="enlarge the bottom").is_checked()
    assert view.get_by_role("slider", name="smoothing").get_attribute("aria-valuetext") == "0.50"
    assert not view.get_by_role("checkbox", name="Lion", exact=True).is_checked()
    assert view.get_by_role("combobox", name="behind it").input_value() == "optimizers"
    view.get_by_role("slider", name="learning rate").press("ArrowRight")
    for one in (view, other):
        assert one.locator(".now").inner_text().startswith("AdamW at rate 0.03:")
    other.get_by_role("combobox", name="optimizer").select_option(label="SGD")
    for one in (view, other):
        assert one.locator(".now").inner_text().startswith("SGD at rate 0.03:")


# Appearance


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_hostile_names_are_text(show, theme):
    data = {name: constant(3.0, 2.0, 2.5) for name in HOSTILE}
    page = show(RateFinder(data), theme=theme)
    assert page.locator(".values bdi").all_inner_texts() == list(HOSTILE)
    for name in HOSTILE:
        choose(page, name)
        assert words(page).startswith(f"{name} at rate 2")
        assert name in page.locator("summary").inner_text()
    assert page.locator(".ug script, .ug b").count() == 0
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as SVG").click()
    text = saved.value.path().read_text("utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;, best rate 2" in text
    assert "<script" not in text


def test_saved_picture(show):
    page = show(RateFinder(GRID, optimizer="AdamW", rate=0.1, hidden=["Lion"]), theme="dark")
    before = page.locator(".ug").evaluate("view => view.outerHTML")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as SVG").click()
    assert page.locator(".ug").evaluate("view => view.outerHTML") == before
    assert saved.value.suggested_filename == "learning-rate.svg"
    text = saved.value.path().read_text("utf-8")
    for selector in ("[data-curve='line']", "[data-valley='line'][data-optimizer='0']"):
        assert str(page.locator(selector).get_attribute("d")) in text
    assert "AdamW, best rate 0.003, drawn: rate 0.1" in text
    assert "SGD, best rate 1<" in text
    assert "Lion" not in text
    assert 'data-optimizer="0"' in text
    assert 'data-optimizer="2"' not in text
    assert 'stroke="rgb(240, 133, 74)"' in text  # the theme's own colours, written out
    assert "var(" not in text
    assert "NaN" not in text
    page.goto("about:blank")
    page.set_content(text)
    box = page.locator("svg").first.bounding_box()
    name = page.locator("text", has_text="AdamW").bounding_box()
    assert box
    assert name
    assert box["width"] > 600
    assert name["y"] < box["y"] + box["height"]


def test_fits_a_phone(show):
    data = GRID | {"a" * 60: {x: GRID["Lion"][x] for x in RATES["Lion"]}}
    page = show(RateFinder(data, optimizer="AdamW", rate=0.1), width=360, height=1500)
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    cut = page.locator(".ug :is(text, td, th, button, label, select):visible").evaluate_all(
        "all => all.filter(t => { const b = t.getBoundingClientRect(); "
        "return b.width && (b.left < 0 || b.right > innerWidth) }).map(t => t.textContent)"
    )
    assert cut == []
    curves, valley = (
        page.locator(f"svg[data-panel='{name}']").bounding_box() for name in ("curves", "valley")
    )
    assert curves
    assert valley
    assert valley["y"] > curves["y"] + curves["height"]  # one beneath the other
    np.testing.assert_array_equal(ticks(page, "loss")[:, 0], ticks(page, "final")[:, 0])
    page.touchscreen.tap(*pixel_of_rate(page, 0.01))
    page.wait_for_function("document.querySelector('.now').innerText.includes('rate 0.01:')")
    check_words(page, GRID, "AdamW", 0.01)


def test_the_picture_follows_the_width(show):
    page = show(RateFinder(GRID, optimizer="AdamW", smoothing=0))
    for width in (500, 900, 360):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(
            "() => { const svg = document.querySelector('.plot'); "
            "return Math.abs(svg.viewBox.baseVal.width - svg.parentNode.clientWidth) <= 1 }"
        )
        ((at, found),) = drawn_curve(page, ".line")
        assert len(at) > 60
        wanted = np.interp(at, *mean_curve(GRID["AdamW"][0.003]))
        np.testing.assert_allclose(found, wanted, atol=0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_optimizers_are_told_apart_in_both_themes(show, theme):
    page = show(RateFinder({f"o{i}": constant(2.0, 1.0) for i in range(9)}), theme=theme)
    back = luminance(page.locator(".ug").evaluate("e => getComputedStyle(e).backgroundColor"))
    colours = page.locator("[data-valley='line']").evaluate_all(
        "all => all.map(e => getComputedStyle(e).stroke)"
    )
    assert len({*colours}) == 8
    for colour in colours:
        bright, dark = sorted([luminance(colour) + 0.05, back + 0.05], reverse=True)
        assert bright / dark >= 3
    marks = page.locator(".values label svg path:last-child").evaluate_all(
        "all => all.map(e => e.getAttribute('d') + getComputedStyle(e).fill)"
    )
    assert len({mark.split("rgb")[0] for mark in marks}) == 8  # without any colour
    assert len({*marks}) == 9
