"""The race of optimizers: the page after real clicks, drags and keys, against the library."""

import base64
import re

import ipywidgets
import numpy as np
import pytest
from driving import luminance, number
from playwright.sync_api import Page
from race_cases import (
    contours,
    drawn,
    furthest,
    grip,
    library_run,
    pixel_of,
    rows,
    step_slider,
    walked,
)
from underglass.widgets import OptimizerRace, surface
from underglass.widgets.surfaces import RUNNERS, SURFACES

pytestmark = pytest.mark.browser

STEPS = 100
SAME = 1e-9  # of the number itself, where it is larger than 1; most agree to the last digit


# The steps


@pytest.mark.parametrize("name", SURFACES)
def test_steps_are_those_of_the_library(show, name):
    page = show(OptimizerRace(optimizers=RUNNERS, steps=STEPS), height=1200)
    page.get_by_label("surface").select_option(name)
    worst = furthest(page, name, STEPS, (0.9, 0.99), 0.0)
    print(f"{name}: largest difference {worst:.1e}")
    assert worst <= SAME
    page.mouse.click(*pixel_of(page, -0.7, 1.3))
    grip(page).press("ArrowLeft")
    for slider, keys in {
        "weight decay": ["PageUp", "ArrowRight", "ArrowRight"],
        "β₁": ["PageDown", "ArrowLeft"],
        "β₂": ["PageDown", "ArrowRight"],
        "all rates": ["ArrowLeft"] * 3,
    }.items():
        for key in keys:
            page.get_by_role("slider", name=slider).press(key)
    decay, beta1, beta2 = (
        float(page.get_by_role("slider", name=slider).input_value())
        for slider in ("weight decay", "β₁", "β₂")
    )
    assert decay > 0.05
    assert beta1 < 0.85
    assert beta2 < 0.95
    worst = furthest(page, name, STEPS, (beta1, beta2), decay)
    print(f"{name}, with decay from another start: largest difference {worst:.1e}")
    assert worst <= SAME


def test_only_the_selected_runner_changes_its_rate(show):
    page = show(OptimizerRace(steps=STEPS))
    before = {name: row["rate"] for name, row in rows(page).items()}
    page.get_by_label("runner whose rate is set").select_option("Adam")
    slider = page.get_by_role("slider", name="rate of Adam")
    slider.press("PageUp")
    slider.press("ArrowLeft")
    after = {name: row["rate"] for name, row in rows(page).items()}
    assert after["Adam"] > 1.5 * before["Adam"]
    assert {**after, "Adam": before["Adam"]} == before
    assert slider.get_attribute("aria-valuetext") == rows(page)["Adam"]["shown"][0]
    theirs = library_run(
        surface("ravine"), "Adam", (-2.6, 1.7), after["Adam"], (0.9, 0.99), 0.0, STEPS
    )
    found = rows(page)["Adam"]
    np.testing.assert_allclose([found[k] for k in ("x", "y", "height")], theirs[-1], atol=SAME)
    page.locator("tr[data-runner='SGD'] button").click()  # the table selects as well
    assert page.get_by_role("slider", name="rate of SGD").evaluate(
        "e => e === document.activeElement"
    )
    page.keyboard.press("PageUp")  # far too fast
    assert "diverged" in rows(page)["SGD"]["shown"][3]
    assert rows(page)["Adam"]["rate"] == after["Adam"]
    page.get_by_role("button", name="Reset settings").click()
    assert {name: row["rate"] for name, row in rows(page).items()} == before


def test_what_python_sets_is_what_runs(show):
    race = OptimizerRace(
        "noisy",
        (1.5, -1.25),
        RUNNERS,
        steps=STEPS,
        rates={"SGD": 0.123, "Lion": 0},
        betas=(0.0, 0.5),
        weight_decay=0.3,
        seed=5,
    )
    page = show(race, height=1200)
    assert furthest(page, "noisy", STEPS, (0.0, 0.5), 0.3, seed=5) <= SAME
    found = rows(page)
    assert found["SGD"]["rate"] == 0.123
    assert (found["Lion"]["x"], found["Lion"]["y"]) == (1.5, -1.25)  # a rate of 0 goes nowhere


# The start


def test_the_start_follows_clicks_drags_and_keys(show):
    page = show(OptimizerRace(steps=STEPS))

    def starts() -> tuple[float, float]:
        page.get_by_role("button", name="Restart").click()
        places = {(row["x"], row["y"]) for row in rows(page).values()}
        assert len(places) == 1
        return places.pop()

    assert starts() == surface("ravine").start
    page.mouse.click(*pixel_of(page, 0.5, -1.5))
    assert starts() == pytest.approx((0.5, -1.5), abs=0.01)
    page.mouse.move(*pixel_of(page, 0.5, -1.5))
    page.mouse.down()
    for place in ((1, 1), (2, 1.5), (-2, 0.75)):
        page.mouse.move(*pixel_of(page, *place), steps=3)
    assert starts_now(page) == pytest.approx((-2, 0.75), abs=0.01)  # while the button is down
    page.mouse.move(*pixel_of(page, 9, 0.25))  # beyond the map
    page.mouse.up()
    assert starts() == pytest.approx((3, 0.25), abs=0.01)
    page.mouse.move(*pixel_of(page, 0, 0))  # nothing is held any more
    assert starts() == pytest.approx((3, 0.25), abs=0.01)
    x, y = starts()
    for key, way in {
        "ArrowLeft": (-0.1, 0),
        "ArrowUp": (0, 0.1),
        "Shift+ArrowDown": (0, -0.01),
        "Shift+ArrowRight": (0.01, 0),
    }.items():
        grip(page).press(key)
        x, y = x + way[0], y + way[1]
        assert starts() == pytest.approx((x, y), abs=1e-9)
    said = grip(page).get_attribute("aria-valuetext") or ""
    height = float(surface("ravine").height(x, y))
    found = re.fullmatch(r"x (\S+), y (\S+), height (\S+)", said)
    assert found
    assert [number(part) for part in found.groups()] == pytest.approx([x, y, height], rel=5e-3)
    grip(page).press("Home")
    assert starts() == surface("ravine").start


def starts_now(page: Page) -> tuple[float, float]:
    """The start as a screen reader is told."""
    said = grip(page).get_attribute("aria-valuetext") or ""
    x, y = (number(part) for part in re.findall(r"[xy] ([−\d.]+)", said))
    return x, y


def test_another_surface_begins_with_its_own_start_and_rates(show):
    page = show(OptimizerRace("bowl", (0.0, 0.0), rates={"SGD": 0.7}))
    for name, ground in SURFACES.items():
        page.get_by_label("surface").select_option(label=ground.title)
        assert starts_now(page) == ground.start
        assert {k: row["rate"] for k, row in rows(page).items()} == {
            k: ground.rates[k] for k in ("SGD", "momentum", "Adam")
        }
        said = page.locator(".about").inner_text()
        assert said == f"{ground.formula}. {ground.about}", name


# The drawing


@pytest.mark.parametrize("name", ["ravine", "rosenbrock"])
def test_paths_stand_where_the_numbers_say(show, name):
    ground = surface(name)
    page = show(OptimizerRace(name, steps=60))
    slider = step_slider(page)
    for t in (60, 23, 0):
        slider.press("Home")
        for _ in range(t):
            page.keyboard.press("ArrowRight")
        for runner in ("SGD", "momentum", "Adam"):
            rate = ground.rates[runner]
            theirs = library_run(ground, runner, ground.start, rate, (0.9, 0.99), 0.0, t)
            path = drawn(page, "map", runner)
            far = np.abs(theirs[:, None, :2] - path[None]).max(axis=-1)
            assert far.min(axis=1).max() < 0.01  # each step is a corner of the path,
            assert far.min(axis=0).max() < 0.01  # and each corner a step
            heights = drawn(page, "plot", runner)
            np.testing.assert_allclose(heights[:, 0], np.arange(t + 1), atol=0.05)
            np.testing.assert_allclose(heights[:, 1], theirs[:, 2], rtol=0.05)


def test_a_linear_axis_of_heights(show):
    page = show(OptimizerRace("bowl", optimizers=["SGD"], steps=50))
    assert "height (logarithmic)" in page.locator(".plot-title").all_text_contents()
    page.get_by_role("checkbox", name="logarithmic heights").uncheck()
    assert "height" in page.locator(".plot-title").all_text_contents()
    theirs = library_run(surface("bowl"), "SGD", (-2.4, -1.5), 0.1, (0.9, 0.99), 0.0, 50)
    found = drawn(page, "plot", "SGD", log=False)
    np.testing.assert_allclose(found[:, 1], theirs[:, 2], atol=0.02)


def test_contours_join_places_of_one_height(show):
    """Each outline stands at a height of its own, evenly spaced in the root of the height."""
    for name, ground in SURFACES.items():
        page = show(OptimizerRace(name))
        left, right, bottom, top = ground.window
        heights, spread = [], {"saddle": 3, "rosenbrock": 3}.get(name, 2)
        for corners in contours(page):
            inner = corners[
                (np.abs(corners[:, 0] - left) > 0.01)
                & (np.abs(corners[:, 0] - right) > 0.01)
                & (np.abs(corners[:, 1] - bottom) > 0.01)
                & (np.abs(corners[:, 1] - top) > 0.01)
            ]
            assert len(inner) > 8, name
            found = ground.height(*inner.T)
            heights.append(np.median(found))
            roots = np.abs(found) ** (1 / spread)
            assert np.abs(roots - np.median(roots)).max() < 0.12 * np.median(roots) + 0.02, name
        assert len(heights) == 12
        roots = np.array(sorted(heights)) ** (1 / spread)
        np.testing.assert_allclose(np.diff(roots), roots[0], rtol=0.12, err_msg=name)


# Moving on


def test_the_first_view_is_the_finished_race(show):
    page = show(OptimizerRace())
    assert step_slider(page).input_value() == "200"
    assert page.get_by_role("button", name="Play").is_visible()
    said = {name: row["shown"][3] for name, row in rows(page).items()}
    assert list(said) == ["SGD", "momentum", "Adam"]
    ground = surface("ravine")
    for name, words in said.items():
        run = library_run(ground, name, ground.start, ground.rates[name], (0.9, 0.99), 0.0, 200)
        arrived = np.flatnonzero(run[:, 2] > 0.01)[-1] + 1
        assert words == f"arrived at step {arrived}"


def test_play_pause_one_step_and_restart(show):
    page = show(OptimizerRace(steps=500))
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('.run input').value > 5")
    page.get_by_role("button", name="Pause").click()
    here = int(step_slider(page).input_value())
    assert 5 < here < 500
    page.wait_for_timeout(150)
    assert int(step_slider(page).input_value()) == here
    page.get_by_role("button", name="One step").click()
    assert int(step_slider(page).input_value()) == here + 1
    assert {row["step"] for row in rows(page).values()} == {here + 1}
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("now => document.querySelector('.run input').value > now", arg=here + 5)
    page.get_by_role("button", name="Pause").click()
    assert int(step_slider(page).input_value()) > here + 5  # it went on from where it stood
    page.get_by_role("button", name="Restart").click()
    assert step_slider(page).input_value() == "0"
    assert {row["shown"][3] for row in rows(page).values()} == {"at the start"}


def test_a_race_stops_at_its_last_step_and_can_begin_anew(show):
    page = show(OptimizerRace(steps=20))
    page.clock.install()
    page.get_by_role("button", name="Play").click()
    page.clock.run_for(1000)
    assert 0 < int(step_slider(page).input_value()) < 20
    page.clock.run_for(9000)
    assert step_slider(page).input_value() == "20"
    assert page.get_by_role("button", name="Play").is_visible()
    page.get_by_role("button", name="Play").click()
    page.clock.run_for(1000)
    assert 0 < int(step_slider(page).input_value()) < 20


def test_less_motion_jumps_to_the_end(show):
    page = show(OptimizerRace())
    page.emulate_media(reduced_motion="reduce")
    step_slider(page).press("Home")
    page.get_by_role("button", name="Play").click()
    assert step_slider(page).input_value() == "200"
    assert page.get_by_role("button", name="Play").is_visible()


def test_the_plot_moves_through_the_steps(show):
    page = show(OptimizerRace(steps=100))
    box = page.locator(".scrub").bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 20)
    page.mouse.down()
    assert int(step_slider(page).input_value()) == pytest.approx(25, abs=1)
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 40)
    page.mouse.up()
    assert int(step_slider(page).input_value()) == pytest.approx(60, abs=1)
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 40)
    assert int(step_slider(page).input_value()) == pytest.approx(60, abs=1)


def test_a_longer_race(show):
    page = show(OptimizerRace("rosenbrock", steps=200))
    page.get_by_role("slider", name="steps of a race").press("End")
    assert step_slider(page).input_value() == "500"
    ground = surface("rosenbrock")
    run = library_run(ground, "Adam", ground.start, 0.3, (0.9, 0.99), 0.0, 500)
    assert rows(page)["Adam"]["height"] == pytest.approx(run[-1, 2], rel=1e-6)
    assert {row["step"] for row in rows(page).values()} == {500}


# Who runs, and how they fare


def test_checkboxes_choose_who_runs(show):
    page = show(OptimizerRace())
    for name in RUNNERS:
        page.get_by_role("checkbox", name=f"{name} runs").set_checked(name in ("Lion", "SGD"))
    assert list(rows(page)) == ["SGD", "Lion"]
    assert len(drawn(page, "map", "Lion")) > 5
    assert page.locator("[data-part='line'][data-runner='Adam']").count() == 0
    for name in ("Lion", "SGD"):
        page.get_by_role("checkbox", name=f"{name} runs").uncheck()
    assert rows(page) == {}
    page.wait_for_function("document.querySelector('[role=status]').textContent.includes('Nobody')")
    assert "NaN" not in page.locator(".plot").inner_html()


def test_divergence_is_told_in_words(show):
    page = show(OptimizerRace("ravine", rates={"SGD": 0.25, "momentum": 0.5}, steps=STEPS))
    for name, rate in (("SGD", 0.25), ("momentum", 0.5)):
        run = library_run(surface("ravine"), name, (-2.6, 1.7), rate, (0.9, 0.99), 0.0, STEPS)
        last = len(run) - 1
        assert last < STEPS
        found = rows(page)[name]
        assert found["shown"][3] == f"diverged at step {last}"
        assert found["step"] == last
        assert found["height"] == pytest.approx(run[-1, 2], rel=1e-12)
        assert number(found["shown"][1]) == pytest.approx(run[-1, 2], rel=6e-3)
        assert "e8" in found["shown"][1]
    page.wait_for_function("document.querySelector('[role=status]').textContent.includes('div')")
    said = page.locator("[role=status]").inner_text()
    assert re.search(r"SGD: height [\d.e+]+, diverged at step \d+; momentum", said)
    assert "NaN" not in page.locator(".plot").inner_html()
    step_slider(page).press("Home")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert rows(page)["SGD"]["shown"][3] in ("outside the picture", "higher than its start")


def test_without_decay_adamw_is_adam(show):
    page = show(OptimizerRace("bowl", optimizers=("Adam", "AdamW"), steps=STEPS))
    found = walked(page, STEPS)
    assert (found["Adam"] == found["AdamW"]).all()
    assert "AdamW is Adam" in page.locator(".key").inner_text()
    assert not page.locator(".origin").is_visible()
    page.get_by_role("slider", name="weight decay").press("PageUp")
    assert "pulls toward (0, 0)" in page.locator(".key").inner_text()
    assert page.locator(".origin").is_visible()
    found = rows(page)
    assert abs(found["Adam"]["x"] - found["AdamW"]["x"]) > 0.01
    for row in found.values():
        assert np.hypot(row["x"], row["y"]) < np.hypot(1, 0.5)  # nearer to the origin


def test_a_screen_reader_is_not_told_of_every_frame(show):
    page = show(OptimizerRace(steps=500))
    status = page.locator("[role=status]")
    page.wait_for_function("document.querySelector('[role=status]').textContent")
    before = status.inner_text()
    assert before.startswith("Step 500 of 500. SGD: height ")
    page.evaluate(
        "window.told = 0; new MutationObserver(() => told++).observe("
        "document.querySelector('[role=status]'), { childList: true, characterData: true })"
    )
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(1000)
    assert page.evaluate("told") == 0
    page.get_by_role("button", name="Pause").click()
    page.wait_for_function("told === 1")
    here = step_slider(page).input_value()
    assert status.inner_text().startswith(f"Step {here} of 500. ")


# Appearance, and other widgets


def test_linked_races_share_what_is_linked(show):
    one, other = OptimizerRace("bowl"), OptimizerRace("bowl", optimizers=["Lion"])
    page = show(one, other, *(ipywidgets.jslink((one, n), (other, n)) for n in ("start", "step")))
    grip(page).first.press("ArrowRight")
    said = page.locator(".grip").evaluate_all("all => all.map(e => e.ariaValueText)")
    assert said[0] == said[1]
    assert said[0].startswith("x −2.30, y −1.50")
    page.get_by_role("slider", name="step", exact=True).nth(1).press("Home")
    steps = page.get_by_role("slider", name="step", exact=True)
    assert [steps.nth(i).input_value() for i in (0, 1)] == ["0", "0"]


def test_saved_picture(show):
    page = show(OptimizerRace(), theme="dark")
    page.wait_for_function("document.querySelector('[role=status]').textContent")
    before = page.locator(".ug").evaluate("view => view.outerHTML")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as SVG").click()
    assert page.locator(".ug").evaluate("view => view.outerHTML") == before
    assert saved.value.suggested_filename == "race.svg"
    text = saved.value.path().read_text("utf-8")
    assert "SGD, 0.19</text>" in text
    assert ">Lion" not in text
    assert 'fill-opacity="0.045"' in text
    assert "var(" not in text
    assert "NaN" not in text
    page.goto("about:blank")
    page.set_content(text)
    box = page.locator("svg").first.bounding_box()
    assert box
    name = page.locator("text", has_text="Adam").bounding_box()
    assert name
    assert box["y"] < name["y"] < box["y"] + box["height"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_runners_are_told_apart_in_both_themes(show, theme):
    page = show(OptimizerRace(optimizers=RUNNERS), theme=theme)
    back = luminance(page.locator(".ug").evaluate("e => getComputedStyle(e).backgroundColor"))
    colours = page.locator("[data-part='line']").evaluate_all(
        "all => [...new Set(all.map(e => getComputedStyle(e).stroke))]"
    )
    assert len(colours) == 7
    for colour in colours:
        bright, dark = sorted([luminance(colour) + 0.05, back + 0.05], reverse=True)
        assert bright / dark >= 4  # the map is tinted, and must leave 3
    shapes = page.locator("[data-part='head']").evaluate_all(
        "all => [...new Set(all.map(e => e.getAttribute('d')))]"
    )
    assert len(shapes) == 7  # without any colour


def test_fits_a_phone(show):
    page = show(OptimizerRace("rosenbrock", optimizers=RUNNERS, weight_decay=0.1), width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    cut = page.locator(".ug :is(text, td, th, button, label, select, output):visible").evaluate_all(
        "all => all.filter(t => { const b = t.getBoundingClientRect(); "
        "return b.width && (b.left < 0 || b.right > innerWidth) }).map(t => t.textContent)"
    )
    assert cut == []
    x, y = pixel_of(page, -1.0, 2.5)
    page.touchscreen.tap(x, y)
    assert starts_now(page) == pytest.approx((-1.0, 2.5), abs=0.02)


def test_nothing_is_left_behind(show):
    page = show(OptimizerRace())
    page.evaluate(
        """async ([source, state, noise]) => {
          const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
          const { default: widget } = await import(url);
          const bytes = Uint8Array.from(atob(noise), (c) => c.charCodeAt(0)).buffer;
          state._noise = new DataView(bytes);
          const heard = new Set(), place = document.createElement("div");
          const model = { get: (name) => state[name], save_changes() {},
            set: (changes) => Object.assign(state, changes),
            on: (event, f) => heard.add(f), off: (event, f) => heard.delete(f) };
          const stop = widget.render({ model, el: place }); // drawn outside the page
          document.querySelector(".ug").replaceWith(place);
          await new Promise((done) => setTimeout(done, 100));
          window.drawnWide = place.querySelector("svg.plot").viewBox.baseVal.width;
          stop();
          window.heardOf = heard.size;
        }""",
        later(OptimizerRace()),
    )
    assert page.evaluate("heardOf") == 0
    assert page.evaluate("drawnWide") == page.locator(".place").evaluate("e => e.clientWidth")


def later(race: OptimizerRace) -> list:
    """What a script needs to draw a race on its own."""
    state = {k: v for k, v in race.get_state().items() if k[:1] != "_" or k == "_surfaces"}
    state.pop("layout", None)
    return [race._esm, state, base64.b64encode(race._noise).decode()]
