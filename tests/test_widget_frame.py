"""The frame of the widgets, and the runtime that mounts them in a static page."""

import ipywidgets
import pytest
from underglass.widgets.frame import Widget

HOSTILE = "<img src=x onerror=alert(1)> שלום 🙂"
SCRIPT = """
export default { render({ model, el }) {
  const said = h("output", {}, isolate(model.get("text")));
  const count = slider("count", { min: 0, max: 9, step: 1, value: model.get("count"),
    oninput: (n) => { model.set("count", n); model.save_changes(); } });
  follow(model, ["count"], () => count.set(model.get("count")));
  const picture = s("svg", { viewBox: "0 0 10 10", width: 20, height: 20 },
    s("rect", { width: 10, height: 10, class: "fill" }));
  el.append(h("div", { class: "ug" }, said, count.element, picture,
    saveButton(() => picture, "counter")));
} };
"""


@pytest.fixture
def counter(tmp_path, monkeypatch):
    """A widget class whose files stand beside its module, as every widget's do."""
    (tmp_path / "counter.js").write_text(SCRIPT)
    (tmp_path / "counter.css").write_text(".ug .fill { fill: var(--ug-accent) }")
    (tmp_path / "counter_module.py").write_text(
        "import traitlets\n"
        "from underglass.widgets.frame import Widget\n"
        "class Counter(Widget):\n"
        "    files = 'counter'\n"
        "    text = traitlets.Unicode().tag(sync=True)\n"
        "    count = traitlets.Int(3).tag(sync=True)\n"
        "    def _summary(self): return f'{self.count} so far'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    from counter_module import Counter  # pyright: ignore[reportMissingImports]

    yield Counter
    import sys

    del sys.modules["counter_module"]


def test_repr_is_the_stored_text(counter):
    widget = counter(text="hello")
    bundle = widget._repr_mimebundle_()
    assert repr(widget) == "Counter(3 so far)"
    assert bundle[0]["text/plain"] == "Counter(3 so far)"


def test_missing_script_is_reported():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.js"):

        class Nowhere(Widget):
            files = "nowhere"


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_mounts_and_shows_hostile_text_as_text(counter, show, theme):
    page = show(counter(text=HOSTILE), theme=theme)
    assert page.locator(".ug output bdi").inner_text() == HOSTILE
    assert page.locator(".ug img").count() == 0
    back = page.locator(".ug").evaluate("e => getComputedStyle(e).backgroundColor")
    assert back == ("rgb(20, 24, 31)" if theme == "dark" else "rgb(255, 255, 255)")


@pytest.mark.browser
def test_slider_answers_to_keys(counter, show):
    page = show(counter())
    page.get_by_role("slider", name="count").press("ArrowRight")
    assert page.locator(".ug label output").inner_text() == "4"
    assert page.get_by_role("slider").get_attribute("aria-valuetext") == "4"


@pytest.mark.browser
@pytest.mark.parametrize("kind", ["jslink", "jsdlink"])
def test_links_work_without_a_kernel(counter, show, kind):
    first, second = counter(count=2), counter(count=7)
    page = show(first, second, getattr(ipywidgets, kind)((first, "count"), (second, "count")))
    sliders = page.get_by_role("slider")
    assert [sliders.nth(i).input_value() for i in (0, 1)] == ["2", "2"]  # as a live link starts
    sliders.nth(0).press("ArrowRight")
    assert sliders.nth(1).input_value() == "3"
    sliders.nth(1).press("End")
    assert sliders.nth(0).input_value() == ("9" if kind == "jslink" else "3")


@pytest.mark.browser
def test_saved_picture_carries_its_colours(counter, show):
    page = show(counter())
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as SVG").click()
    assert saved.value.suggested_filename == "counter.svg"
    text = saved.value.path().read_text()
    assert 'fill="rgb(31, 95, 191)"' in text
    assert "var(" not in text
    assert 'xmlns="http://www.w3.org/2000/svg"' in text


@pytest.mark.browser
def test_broken_widget_says_so_and_spares_the_others(counter, browser, tmp_path):
    from pages import opened, widget_page

    broken = counter()
    broken._esm = "export default { render() { throw new Error('no numbers') } }"
    url = widget_page([broken, counter(text="fine")], tmp_path / "page.html")
    with opened(browser, url) as (page, heard):
        page.wait_for_selector("html[data-widgets=ready]", state="attached")
        assert "could not start (no numbers)" in page.get_by_role("alert").inner_text()
        assert page.locator(".ug bdi").inner_text() == "fine"
        assert any("no numbers" in error for error in heard.errors)
