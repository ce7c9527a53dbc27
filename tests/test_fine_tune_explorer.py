"""The explorer of fine-tuning runs: the page after real clicks and keys, against numpy."""

import math
import re
from collections.abc import Sequence
from types import SimpleNamespace

import ipywidgets
import numpy as np
import pytest
from driving import luminance, number, script_time
from playwright.sync_api import Locator, Page
from tuning_cases import (
    AMOUNTS,
    COSTS,
    LOST,
    RATES,
    accuracies,
    best_rate,
    cells,
    followed,
    grid,
    ranking,
    thinned,
    whole,
)
from underglass.widgets import FineTuneExplorer

pytestmark = pytest.mark.browser

RUNS = grid()
CELLS = cells(RUNS)
ALL_RATES = sorted({rate for rates in RATES.values() for rate in rates})
TENTH = 0.0501  # of a point: accuracies are shown with one digit
NEAR = 0.0015  # of an accuracy that is drawn: a tenth of a pixel is about 0.0002
HOSTILE = "<script>alert(1)</script>", "שלום עולם", "🙂 & <b>"
UNITS = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}


def plain(text: str | None) -> str:
    """The text without the marks that keep a name's direction to itself."""
    return re.sub("[\u2068\u2069]", "", text or "").replace("\xa0", " ")


def said(page: Page | Locator, selector: str) -> str:
    return plain(page.locator(selector).text_content())


def size(text: str) -> float:
    """ "22.7 M" -> 22700000.0; bytes the same."""
    value, _, unit = text.removesuffix("B").strip().partition(" ")
    return number(value) * UNITS[unit]


def time(text: str) -> float:
    value, unit = text.split(" ")
    return number(value) * {"s": 1, "min": 60}[unit]


def place(page: Page | Locator, method: str, rate: float) -> Locator:
    decimal = f"{rate:.6f}".rstrip("0")
    return page.locator(f".map [data-cell='{method},{decimal}']")


def amounts(page: Page | Locator) -> Locator:
    return page.get_by_role("slider", name="training sentences")


def chosen(page: Page) -> list[str]:
    return page.locator(".map .chosen").evaluate_all("all => all.map(c => c.dataset.cell)")


def rows(page: Page) -> list[list[str]]:
    """The table of what stands side by side: letter, method, rate, sentences, accuracy, costs."""
    found = page.locator(".values tbody tr").evaluate_all(
        "all => all.map(row => [...row.cells].map(c => c.firstChild.nodeType === 3 "
        "? c.firstChild.data : c.textContent))"
    )
    return [[plain(cell) for cell in row] for row in found]


def kept(page: Page) -> list[tuple[str, float, int]]:
    return [(row[1], number(row[2]), int(row[3].replace(",", ""))) for row in rows(page)]


def pick(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).select_option(label=option)


def axis(page: Page, name: str, across: bool) -> np.ndarray:
    """[value, pixel] of the ticks of an axis; what is printed is what they stand for."""
    found = page.locator(f"text[data-axis='{name}']").evaluate_all(
        "all => all.map(t => [Number(t.dataset.value), t.textContent, "
        "Number(t.getAttribute('x')), Number(t.getAttribute('y')) - 4])"
    )
    for value, text, *_ in found:
        shown = plain(text).replace(",", "")
        assert number(shown.removesuffix(" %")) == pytest.approx(
            100 * value if "%" in shown else value
        )
    return np.array([[value, x if across else y] for value, _, x, y in found])


def values(page: Page, name: str, pixels, *, across=False, log=False) -> np.ndarray:
    """The numbers at `pixels`, by the printed ticks alone."""
    marks = axis(page, name, across)
    slope, start = np.polyfit(marks[:, 1], np.log(marks[:, 0]) if log else marks[:, 0], 1)
    found = slope * np.asarray(pixels) + start
    return np.exp(found) if log else found


def points(path: str | None) -> np.ndarray:
    pairs = re.findall(r"[ML]([-\d.]+) ([-\d.]+)", path or "")
    return np.array([[float(x), float(y)] for x, y in pairs])


def over(page: Page, kind: str, method: str) -> str:
    number = list(RATES).index(method)
    return page.locator(f"[data-over='{kind}'][data-method='{number}']").get_attribute("d") or ""


# The map


def check_map(page: Page, amount: int) -> None:
    for method in RATES:
        best = best_rate(CELLS, method, amount)
        for rate in ALL_RATES:
            cell, key = place(page, method, rate), (method, rate, amount)
            if key not in CELLS:
                assert cell.count() == 0, key
                continue
            kept, seeds = accuracies(CELLS[key]), len(CELLS[key])
            label, shown = plain(cell.get_attribute("aria-label")), said(cell, ".value")
            assert label.startswith(f"{method} at {said_rate(rate)}: ")
            assert (cell.locator(".end", has_text="★").count() == 1) == (rate == best)
            assert ("the best rate here" in label) == (rate == best)
            assert (cell.locator(".end", has_text="✕").count() == 1) == (len(kept) < seeds)
            if not kept:
                assert shown == "–"
                assert f"diverged in all {seeds} seeds" in label
                continue
            assert number(shown) == pytest.approx(100 * np.mean(kept), abs=TENTH)
            assert f"accuracy {shown} %, " in label
            if len(kept) == 1:
                assert "one seed" in label
                continue
            low, high = (number(x) for x in said(cell, ".range").split("–"))
            assert [low, high] == pytest.approx([100 * min(kept), 100 * max(kept)], abs=TENTH)
            assert f"mean of {len(kept)} seeds ({low:.1f} % to {high:.1f} %)" in label


def said_rate(rate: float) -> str:
    if rate >= 0.01:
        return f"{rate:g}"
    digits, power = f"{rate:.0e}".split("e")
    return f"{digits}e−{abs(int(power))}"


def test_the_map_shows_every_cell_of_every_amount(show):
    page = show(FineTuneExplorer(RUNS, amount=50))
    for amount in AMOUNTS:
        assert amounts(page).get_attribute("aria-valuetext") == f"{amount:,}"
        assert f"with {amount:,} sentences" in said(page, ".map .plot-title")
        check_map(page, amount)
        amounts(page).press("ArrowRight")
    heads = page.locator(".map .tick.mid").all_text_contents()
    assert [number(text) for text in heads if text != "–"] == ALL_RATES


def test_the_map_of_costs_and_spread(show):
    page = show(FineTuneExplorer(RUNS, amount=800))
    for option, reading in (("spread", number), ("time", time), *zip(
        ("memory", "stored", "trained"), (size, size, size), strict=True
    )):  # fmt: skip
        pick(page, "map of", option)
        for method, rates in RATES.items():
            for rate in rates:
                runs = CELLS[method, rate, 800]
                name = {"time": "seconds"}.get(option, option)
                cell = place(page, method, rate)
                if option == "spread":
                    kept = accuracies(runs)
                    wanted = 100 * (max(kept) - min(kept)) if len(kept) > 1 else None
                else:
                    wanted = float(np.mean([one.outcome[name] for one in runs]))
                text = said(cell, ".value")
                if wanted is None:
                    assert text == "–"
                    continue
                assert reading(text) == pytest.approx(wanted, rel=6e-3, abs=TENTH)
                assert f", {option} {text}" in plain(cell.get_attribute("aria-label"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_cell_is_the_stronger_the_more_it_holds(show, theme):
    page = show(FineTuneExplorer(RUNS, amount=3200), theme=theme)
    for option, value in (
        ("accuracy", lambda key: np.mean(accuracies(CELLS[key]))),
        ("trained", lambda key: COSTS[key[0]][3]),
    ):
        pick(page, "map of", option)
        there = [key for key in CELLS if key[2] == 3200 and accuracies(CELLS[key])]
        fills = {
            key: luminance(
                place(page, *key[:2]).locator("rect").evaluate("r => getComputedStyle(r).fill")
            )
            for key in there
        }
        order = sorted(there, key=value)
        strong = np.array([fills[key] for key in order]) * (-1 if theme == "light" else 1)
        assert (np.diff(strong) >= -1e-3).all()
        assert np.ptp(strong) > 0.2
        for key in there:  # what is written can be read
            ink = luminance(
                place(page, *key[:2]).locator(".value").evaluate("t => getComputedStyle(t).fill")
            )
            bright, dark = sorted([ink + 0.05, fills[key] + 0.05], reverse=True)
            assert bright / dark > 3, key


# Choosing and keeping


def test_arrow_keys_choose_the_next_cell_that_was_run(show):
    page = show(FineTuneExplorer(RUNS, method="head", rate=0.003, amount=50))
    page.locator(".cells").focus()
    for key, cell in (
        ("ArrowRight", ("head", 0.01)),
        ("ArrowLeft", ("head", 0.003)),
        ("ArrowDown", ("lora", 0.003)),  # full was not run at this rate
        ("ArrowLeft", ("lora", 0.001)),
        ("ArrowUp", ("full", 0.001)),
        ("ArrowRight", ("full", 0.001)),  # there is no further one
        ("ArrowLeft", ("full", 0.0003)),
        ("ArrowUp", ("full", 0.0003)),
    ):
        page.keyboard.press(key)
        assert chosen(page) == [f"{cell[0]},{cell[1]:.6f}".rstrip("0")], key
        words = said(page, ".now")
        assert words.startswith(f"{cell[0]} at rate {said_rate(cell[1])} with 50 sentences: ")
        assert plain(page.locator(".cells").get_attribute("aria-label")) == words
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Space")
    assert kept(page) == [("full", 3e-4, 50), ("full", 1e-4, 50)]
    page.keyboard.press("Enter")
    assert kept(page) == [("full", 3e-4, 50), ("full", 1e-4, 50)]  # kept, and then the chosen one
    page.keyboard.press("ArrowRight")
    assert kept(page) == [("full", 3e-4, 50)]


def test_clicks_choose_and_keep(show):
    page = show(FineTuneExplorer(RUNS, amount=800))
    place(page, "lora", 1e-3).click()
    assert chosen(page) == ["lora,0.001"]
    place(page, "lora", 1e-3).click()
    assert kept(page) == [("lora", 1e-3, 800)]
    amounts(page).press("Home")
    assert kept(page) == [("lora", 1e-3, 800), ("lora", 1e-3, 50)]
    page.get_by_role("button", name="Keep this cell").click()
    place(page, "head", 0.01).click()
    assert kept(page) == [("lora", 1e-3, 800), ("lora", 1e-3, 50), ("head", 0.01, 50)]
    letters = {
        cell: said(place(page, *cell), ".mark:not(.end)")
        for cell in (("lora", 1e-3), ("head", 0.01))
    }
    assert letters == {("lora", 1e-3): "B", ("head", 0.01): "C"}
    assert [row[0] for row in rows(page)] == ["A", "B", "C"]
    page.get_by_role("button", name="Keep none").click()
    assert said(page, "h5").startswith("Side by side: each method at its best rate")
    best = [(m, best_rate(CELLS, m, 50), 50) for m in RATES]
    assert kept(page) == [*best, *([("head", 0.01, 50)] if ("head", 0.01, 50) not in best else [])]


def test_no_more_than_eight_are_kept(show):
    compared = [("full", rate, amount) for rate in RATES["full"][1:3] for amount in AMOUNTS]
    page = show(FineTuneExplorer(RUNS, method="lora", amount=50, compared=compared))
    button = page.get_by_role("button", name="Keep this cell")
    assert button.get_attribute("aria-disabled") == "true"
    button.press("Enter")
    assert len(rows(page)) == 9
    place(page, "full", 1e-4).click()
    page.get_by_role("button", name="Keep this cell no more").click()
    assert len(rows(page)) == 8  # seven, and the chosen one
    assert page.locator(".losses [data-panel]").count() == 8


# In words


def test_the_chosen_cell_in_words(show):
    page = show(FineTuneExplorer(RUNS, amount=50, method="full", rate=1e-5))
    best = best_rate(CELLS, "full", 50)
    assert best is not None
    mean = 100 * np.mean(accuracies(CELLS["full", best, 50]))
    top = f"Best here: rate {said_rate(best)}, {mean:.1f} %."
    assert said(page, ".now") == f"full at rate 1e−5 with 50 sentences was not run. {top}"
    assert chosen(page) == [None]
    page.locator(".cells").focus()
    page.keyboard.press("ArrowRight")
    runs = CELLS["full", 3e-5, 50]
    others = [rate for rate in RATES["full"] if whole(CELLS, "full", rate, 50)]
    means = [np.mean(accuracies(CELLS["full", rate, 50])) for rate in others]
    number = 1 + sum(bool(other > np.mean(accuracies(runs))) for other in means)
    assert f" Number {number} of 4 rates. {top}" in said(page, ".now")
    place(page, "full", 1e-3).click()
    (left,) = accuracies(CELLS["full", 1e-3, 50])
    assert said(page, ".now") == (
        f"full at rate 1e−3 with 50 sentences: accuracy {100 * left:.1f} %, one seed; diverged in "
        f"2 of 3 seeds. {top}"
    )


def made(*given: tuple[str, float, int, Sequence[float | None]]) -> list[SimpleNamespace]:
    """Runs: method, rate, amount, and the accuracies of the seeds."""
    return [
        SimpleNamespace(
            settings={"method": method, "rate": rate, "amount": amount, "seed": seed},
            history={"step": [1, 2, 3], "loss": [0.7, 0.6, 0.5]},
            outcome={"accuracy": accuracy},
        )
        for method, rate, amount, seeds in given
        for seed, accuracy in enumerate(seeds)
    ]


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        (
            [("a", 0.1, 50, [0.8]), ("a", 0.2, 50, [0.7])],
            "a at rate 0.1 with 50 sentences: accuracy 80.0 %, one seed. The best of 2 rates. The "
            "best is the smallest rate tried here: a better one may lie beyond.",
        ),
        (
            [("a", 0.1, 1, [0.7]), ("a", 0.2, 1, [0.8, 0.9])],
            "a at rate 0.2 with 1 sentence: accuracy 85.0 %, mean of 2 seeds (80.0 % to 90.0 %). "
            "The best of 2 rates. The best is the largest rate tried here: a better one may lie "
            "beyond.",
        ),
        (
            [("a", 0.1, 50, [0.8])],
            "a at rate 0.1 with 50 sentences: accuracy 80.0 %, one seed. No other rate was tried "
            "here.",
        ),
        (
            [("a", 0.1, 50, [None]), ("a", 0.2, 50, [None, 0.5])],
            "a at rate 0.1 with 50 sentences: diverged. At every rate tried here a seed diverged.",
        ),
        (
            [("a", 0.1, 50, [0.8]), ("b", 0.1, 70, [0.8])],
            "a at rate 0.1 with 70 sentences was not run.",
        ),
    ],
)
def test_edges_in_words(show, runs, words):
    page = show(FineTuneExplorer(made(*runs)))
    assert said(page, ".now") == words
    assert "NaN" not in page.locator(".ug").inner_html()
    assert "Infinity" not in page.locator(".ug").inner_html()


@pytest.mark.parametrize("at", ["best", "chosen"])
def test_who_leads_with_each_amount(show, at):
    page = show(FineTuneExplorer(RUNS, method="full", rate=1e-3, amount=50, at=at))
    rate = 1e-3 if at == "chosen" else None
    leaders = {amount: ranking(CELLS, amount, rate)[0][0] for amount in AMOUNTS}
    how = "each method at its best rate" if at == "best" else "all at rate 1e−3"
    for amount in AMOUNTS:
        words, order = said(page, ".lead"), ranking(CELLS, amount, rate)
        kept = [accuracies(CELLS[key]) for key in order]
        means = [100 * float(np.mean(list_)) for list_ in kept]
        first, second = order[0][0], order[1][0]
        assert words.startswith(f"With {amount:,} sentences, {how}: {first} leads with ")
        found = re.search(r"([\d.]+) %, ([\d.]+) points above (\w+) \(([\d.]+) %\)", words)
        assert found
        assert found[3] == second
        shown = [number(found[i]) for i in (1, 2, 4)]
        assert shown == pytest.approx([means[0], means[0] - means[1], means[1]], abs=TENTH)
        alone, apart = min(map(len, kept[:2])) == 1, min(kept[0]) > max(kept[1])
        assert ("With a single seed the order may be chance." in words) == alone
        assert ("Their seeds overlap" in words) == (not alone and not apart)
        assert ("Every seed of the first is above" in words) == (not alone and apart)
        behind = [key[0] for key in order].index("full") if "full" in [k[0] for k in order] else 0
        assert ("full is " in words) == (behind > 1)
        listed = re.findall(r"(\w+) with ([\d, and]+?)(?=[;.])", words.split("In the lead: ")[1])
        told = {
            int(n.replace(",", "")): m
            for m, list_ in listed
            for n in re.findall(r"[\d,]*\d", list_)
        }
        assert told == leaders
        assert words in plain(page.locator(".over").get_attribute("aria-label"))
        amounts(page).press("ArrowRight")


# Over the amount of data


@pytest.mark.parametrize("at", ["best", "chosen"])
def test_curves_over_the_amount_stand_where_the_runs_do(show, at):
    page = show(FineTuneExplorer(RUNS, method="full", rate=1e-3, at=at))
    for method in RATES:
        keys = followed(CELLS, method, 1e-3 if at == "chosen" else None)
        marks = "".join(re.findall(r"M[-\d.]+ [-\d.]+(?=m)", over(page, "marks", method)))
        for path in (over(page, "line", method), marks):
            drawn = points(path)
            found = values(page, "amount", drawn[:, 0], across=True, log=True)
            np.testing.assert_allclose(found, [key[2] for key in keys], rtol=0.1)  # side by side
            wanted = [np.mean(accuracies(CELLS[key])) for key in keys]
            found = values(page, "accuracy", drawn[:, 1])
            np.testing.assert_allclose(found, wanted, atol=NEAR)
        dots = values(page, "accuracy", points(over(page, "dots", method))[:, 1])
        seeds = [x for key in keys for x in accuracies(CELLS[key])]
        np.testing.assert_allclose(dots, seeds, atol=NEAR)
        bars = re.findall(r"M[-\d.]+ ([-\d.]+)V([-\d.]+)", over(page, "spread", method))
        found = values(page, "accuracy", np.array(bars, float))
        wanted = [(min(accuracies(CELLS[key])), max(accuracies(CELLS[key]))) for key in keys]
        np.testing.assert_allclose(found, wanted, atol=NEAR)
        places = [AMOUNTS.index(key[2]) for key in keys]
        assert over(page, "line", method).count("M") == 1 + sum(np.diff(places) > 1)
    legend = [plain(text) for text in page.locator(".over svg text").all_text_contents()]
    for text in legend:
        method, _, result = text.partition(" ")
        rate = best_rate(CELLS, method, 3200) if at == "best" else 1e-3
        assert rate is not None
        mean = np.mean(accuracies(CELLS[method, rate, 3200]))
        shown = re.fullmatch(r"([\d.]+) % at (\S+)", result)
        assert shown
        assert number(shown[1]) == pytest.approx(100 * mean, abs=TENTH)
        assert number(shown[2]) == rate
    assert len(legend) == len(RATES)


# Side by side


def test_losses_side_by_side_are_the_means_of_the_seeds(show):
    compared = [("full", 1e-4, 3200), ("lora", 1e-3, 50), ("head", 0.01, 200), ("full", 1e-3, 50)]
    page = show(FineTuneExplorer(RUNS, method="full", rate=1e-4, compared=compared))
    for i, key in enumerate(compared):
        panel = page.locator(f"[data-panel='{i}']")
        left, top = (float(panel.get_attribute(name) or 0) for name in ("x", "y"))
        if key in LOST:
            assert len(points(panel.locator(".line").get_attribute("d"))) > 10
            continue
        at, losses = thinned(CELLS[key])
        line = points(panel.locator(".line").get_attribute("d")) + (left, top)
        steps = values(page, f"step {i}", line[:, 0], across=True)
        np.testing.assert_allclose(np.interp(at, steps, values(page, "loss", line[:, 1])),
                                   losses.mean(0), atol=0.02)  # fmt: skip
        assert steps[[0, -1]] == pytest.approx(at[[0, -1]], abs=0.7)
        if len(losses) > 1:
            band = points(panel.locator(".band").get_attribute("d")) + (left, top)
            edges = values(page, "loss", band[:, 1])
            assert edges.max() == pytest.approx(losses.max(), abs=0.01)
            assert edges.min() == pytest.approx(losses.min(), abs=0.01)
        else:
            assert panel.locator(".band").count() == 0
        checks = [one.history["validation_loss"] for one in CELLS[key]]
        drawn = points(panel.locator(".check").get_attribute("d")) + (left, top)
        np.testing.assert_allclose(
            values(page, "loss", drawn[:, 1]), np.mean(checks, 0), atol=0.005
        )
    titles = [plain(text) for text in page.locator(".losses svg .plot-title").all_text_contents()]
    assert titles == [f"{'ABCD'[i]} {key[0]}" for i, key in enumerate(compared)]


def test_the_table_tells_what_each_came_to_and_cost(show):
    compared = [("head", 0.01, 800), ("full", 1e-4, 3200), ("lora", 1e-3, 50), ("full", 1e-3, 800)]
    page = show(FineTuneExplorer(RUNS, compared=compared, method="full", rate=1e-3, amount=800))
    assert kept(page) == compared
    largest = [0.0] * 4
    for row, key in zip(rows(page), compared, strict=True):
        runs, accuracy = CELLS[key], accuracies(CELLS[key])
        if accuracy:
            shown = number(row[4].removesuffix(" %"))
            assert shown == pytest.approx(100 * np.mean(accuracy), abs=TENTH)
        else:
            assert row[4] == "diverged"
        wanted = [float(np.mean([one.outcome["seconds"] for one in runs])), *COSTS[key[0]][1:]]
        found = [time(row[5]), *(size(text) for text in row[6:])]
        assert found == pytest.approx(wanted, rel=6e-3)
        largest = [max(pair) for pair in zip(largest, wanted, strict=True)]
    small = [plain(text) for text in page.locator(".values small").all_text_contents()]
    low, high = (100 * f(accuracies(CELLS[compared[1]])) for f in (min, max))
    assert small[1] == f"{low:.1f} to {high:.1f}"
    assert small[3].strip() == "3 of 3 lost"
    shares = page.locator(".values tr:nth-child(1) i").evaluate_all(
        "all => all.map(i => parseFloat(i.style.width))"
    )
    assert shares[3] == pytest.approx(100 * COSTS["head"][3] / largest[3], rel=1e-3)
    current = page.locator(".values tr[aria-current='true']")
    assert plain(current.locator("th").text_content()) == "full"
    assert current.count() == 1


def test_runs_without_curves_or_costs(show):
    gone = {"step": [1, 2], "loss": [0.7, math.nan]}
    runs = made(("a", 0.1, 50, [0.8]), ("b", 0.1, 50, [None]), ("c", 0.1, 50, [0.6]))
    runs[0].history = {"step": [], "loss": []}
    runs[1].history = gone
    page = show(FineTuneExplorer(runs, method="b", at="chosen"))
    assert [row[4] for row in rows(page)] == ["80.0 %", "diverged", "60.0 %"]
    assert all(row[5:] == ["–"] * 4 for row in rows(page))
    assert "no curve" in page.locator(".losses").inner_html()
    words = said(page, ".lead")
    assert words.split(": ", 1)[1].startswith("a leads with 80.0 %, 20.0 points above c (60.0 %).")
    assert "NaN" not in page.locator(".ug").inner_html()
    for option in ("spread", "time", "trained", "accuracy"):
        pick(page, "map of", option)
    assert said(place(page, "a", 0.1), ".value") == "80.0"


# Traits


def test_traits_from_python_and_links(show):
    first = FineTuneExplorer(
        RUNS, method="full", rate=1e-3, amount=50, colour="seconds", at="chosen"
    )
    second = FineTuneExplorer(RUNS)
    links = [
        ipywidgets.jslink((first, name), (second, name))
        for name in ("amount", "method", "rate", "compared", "colour")
    ]
    page = show(first, second, *links, height=2400)
    one, two = page.locator(".ug").nth(0), page.locator(".ug").nth(1)
    assert one.get_by_role("combobox", name="each method").input_value() == "chosen"
    for view in (one, two):
        assert view.get_by_role("combobox", name="map of").input_value() == "seconds"
    place(two, "lora", 1e-3).click()
    for view in (one, two):
        assert said(view, ".now").startswith("lora at rate 1e−3 with 50 sentences")
    one.get_by_role("button", name="Keep this cell").click()
    amounts(one).press("End")
    for view in (one, two):
        assert view.locator(".values tbody tr").count() == 2
        assert amounts(view).get_attribute("aria-valuetext") == "3,200"


# Appearance


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_hostile_names_are_text(show, theme):
    runs = made(*((name, 0.1, 50, [0.8 - i / 10]) for i, name in enumerate(HOSTILE)))
    page = show(FineTuneExplorer(runs), theme=theme)
    assert [row[1] for row in rows(page)] == list(HOSTILE)
    assert said(page, ".lead").split(": ")[1].startswith(f"{HOSTILE[0]} leads with 80.0 %")
    page.locator(".cells").focus()
    for name in HOSTILE[1:]:
        page.keyboard.press("ArrowDown")
        assert said(page, ".now").startswith(f"{name} at rate 0.1")
    assert page.locator(".ug script, .ug b").count() == 0
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as SVG").click()
    text = saved.value.path().read_text("utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script" not in text


def test_saved_picture(show):
    page = show(FineTuneExplorer(RUNS, amount=800), theme="dark")
    before = page.locator(".ug").evaluate("view => view.outerHTML")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as SVG").click()
    assert page.locator(".ug").evaluate("view => view.outerHTML") == before
    assert saved.value.suggested_filename == "fine-tuning.svg"
    text = saved.value.path().read_text("utf-8")
    assert over(page, "line", "lora") in text
    assert str(page.locator("[data-panel='1'] .line").get_attribute("d")) in text
    assert "var(" not in text
    assert "NaN" not in text
    assert 'stroke="rgb(240, 133, 74)"' in text  # the theme's own colours, written out
    values = [said(place(page, "full", rate), ".value") for rate in RATES["full"]]
    page.goto("about:blank")
    page.set_content(text)
    boxes = [page.locator("body > svg > svg").nth(i).bounding_box() for i in range(3)]
    tops = [box["y"] for box in boxes if box]
    ends = [box["y"] + box["height"] for box in boxes if box]
    assert len(tops) == 3
    assert tops[0] < ends[0] <= tops[1] < ends[1] <= tops[2]
    for value in values:
        assert page.locator("text", has_text=value).count() >= 1


def test_fits_a_phone(show):
    long = [one for one in grid() if one.settings["method"] == "lora"]
    for one in long:
        one.settings["method"] = "a" * 60
    runs = RUNS + long
    page = show(FineTuneExplorer(runs, amount=800), width=360, height=1500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    cut = page.locator(".ug :is(.cell, td, th, button, label, select, p):visible").evaluate_all(
        "all => all.filter(t => { const b = t.getBoundingClientRect(); "
        "return b.width && (b.left < 0 || b.right > innerWidth) }).map(t => t.textContent)"
    )
    assert cut == []
    place(page, "lora", 3e-3).tap()
    assert chosen(page) == ["lora,0.003"]
    tall = page.locator("[data-panel]").evaluate_all("all => all.map(p => p.getAttribute('y'))")
    assert len({*tall}) > 1  # in several lines
    widths = page.locator(".cell .value").evaluate_all(
        "all => all.map(t => [t.getBoundingClientRect().width, "
        "t.parentNode.querySelector('rect').getBoundingClientRect().width])"
    )
    assert all(text <= cell for text, cell in widths)
    page.set_viewport_size({"width": 900, "height": 1500})
    page.wait_for_function("document.querySelector('.over').viewBox.baseVal.width > 600")
    assert said(place(page, "full", 1e-4), ".range")  # room for more


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_methods_are_told_apart_in_both_themes(show, theme):
    page = show(FineTuneExplorer(made(*((f"m{i}", 0.1, 50, [0.5]) for i in range(8)))), theme=theme)
    back = luminance(page.locator(".ug").evaluate("e => getComputedStyle(e).backgroundColor"))
    colours = page.locator("[data-over='line']").evaluate_all(
        "all => all.map(e => getComputedStyle(e).stroke)"
    )
    assert len({*colours}) == 8
    for colour in colours:
        bright, dark = sorted([luminance(colour) + 0.05, back + 0.05], reverse=True)
        assert bright / dark >= 3
    marks = page.locator("[data-over='marks']").evaluate_all(
        "all => all.map(e => e.getAttribute('d').replace(/M\\S+ [\\d.]+/, ''))"
    )
    assert len({*marks}) == 5  # without any colour, the five methods of the course


@pytest.mark.slow
def test_an_update_takes_at_most_8_ms_of_script(show):
    compared = [("full", rate, amount) for rate in RATES["full"][1:3] for amount in AMOUNTS]
    page = show(FineTuneExplorer(RUNS, compared=compared))
    for what, selector, update in (
        ("amount", "input[type=range]",
         "node.value = n % 4; node.dispatchEvent(new Event('input', { bubbles: true }))"),
        ("cell", ".cells",
         "node.dispatchEvent(new KeyboardEvent('keydown', "
         "{ key: n % 2 ? 'ArrowLeft' : 'ArrowRight' }))"),
    ):  # fmt: skip
        spent = script_time(page, page.locator(selector), update, 100)
        print(f"{what}: script time of an update {spent:.2f} ms")
        assert 0.05 < spent <= 8  # less than that, and nothing was drawn
