"""Grids as the rate finder's data: what is read, refused, measured and packed, and its traits."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from curve_cases import unpacked
from ipywidgets.embed import dependency_state
from rate_cases import BEST, RATES, finals, grid, lost_steps, run
from refusals import refused
from underglass.widgets import RateFinder

NAN, INF = math.nan, math.inf
GOOD = {"step": [1, 2, 3], "loss": [3.0, 2.0, 1.0]}


def measured(finder: RateFinder) -> dict[tuple[str, float], dict]:
    return {(one["name"], r["rate"]): r for one in finder._grid for r in one["rates"]}


def curves(finder: RateFinder) -> list[dict[str, np.ndarray]]:
    """The rows of each seed, in order."""
    return unpacked(finder._curves)


# What is measured


@pytest.mark.parametrize("checks", [True, False])
def test_final_losses(checks):
    data = grid(checks=checks)
    finder = RateFinder(data)
    assert finder._measure == ("validation" if checks else "training")
    for (name, rate), found in measured(finder).items():
        kept = [x for x in found["finals"] if x is not None]
        assert kept == pytest.approx(finals(data[name][rate]), rel=1e-12)
        lost = [step for step in found["diverged"] if step is not None]
        assert lost == lost_steps(name, rate)
        for final, step in zip(found["finals"], found["diverged"], strict=True):
            assert (final is None) == (step is not None)


@pytest.mark.parametrize(("rows", "counted"), [(1, 1), (9, 1), (10, 1), (11, 2), (300, 30)])
def test_the_last_tenth_is_rounded_up(rows, counted):
    losses = np.random.default_rng(0).random(rows).tolist()
    history = {"step": range(1, rows + 1), "loss": losses}
    (found,) = measured(RateFinder({"a": {0.1: history}})).values()
    assert found["finals"] == pytest.approx([np.mean(losses[-counted:])], rel=1e-12)


def test_validation_counts_only_where_all_have_it():
    validated = GOOD | {"validation_step": [2, 3], "validation_loss": [5.0, 4.0]}
    both = RateFinder({"a": {0.1: validated, 0.2: GOOD}})
    assert [one["finals"] for one in measured(both).values()] == [[1.0], [1.0]]
    gone = {"step": [1], "loss": [3.0]}  # needs none, since it has no final loss
    one = RateFinder({"a": {0.1: validated, 0.2: gone}})
    assert [r["finals"] for r in measured(one).values()] == [[4.0], [None]]


@pytest.mark.parametrize(
    ("history", "step", "kept"),
    [
        (GOOD, None, 3),
        (GOOD | {"loss": [3.0, NAN, 1.0]}, 2, 1),
        (GOOD | {"loss": [3.0, 2.0, None]}, 3, 2),  # as JSON holds it
        (GOOD | {"loss": [INF, 2.0, 1.0]}, 1, 0),
        (GOOD | {"gradient_norm": [1.0, 1.0, INF]}, 3, 2),
        (GOOD | {"gradient_norm": [1.0, NAN, 1.0]}, None, 3),  # a step that a scaler skipped
        (GOOD | {"validation_step": [2], "validation_loss": [NAN]}, 2, 1),
        ({"step": [1, 2], "loss": [3.0, 2.0]}, 3, 2),  # `fit` stopped before step 3
        ({"step": [], "loss": []}, 1, 0),
        ({"step": [2], "loss": [2.0]}, 3, 1),
        ({"step": [1, 3], "loss": [2.0, 1.0]}, None, 2),
        (GOOD | {"loss": [1e30, 1e300, 1.0]}, None, 3),  # large, but a number
    ],
)
def test_where_a_run_has_diverged(history, step, kept):
    finder = RateFinder({"a": {0.1: [GOOD, history]}})
    (found,) = measured(finder).values()
    assert found["diverged"] == [None, step]
    packed = (curves(finder) + [{"step": []}])[1]
    assert list(packed["step"]) == list(history["step"])[:kept]


def test_rates_are_ordered_and_best():
    data = {name: dict(reversed(rates.items())) for name, rates in grid().items()}
    finder = RateFinder(data)
    assert [[r["rate"] for r in one["rates"]] for one in finder._grid] == list(RATES.values())
    for name, rates in RATES.items():
        wanted = min(rates, key=lambda rate: abs(math.log(rate / BEST[name])))
        assert finder.best(name) == wanted
        assert RateFinder(data, optimizer=name).rate == wanted
    gone = GOOD | {"loss": [3.0, 2.0, INF]}
    nowhere = RateFinder({"a": {0.2: gone, 0.1: [GOOD, gone]}})
    assert nowhere.best("a") is None
    assert nowhere.rate == 0.1
    with refused(ValueError, r"optimizer names 'b', expected names among \['a'\]"):
        nowhere.best("b")


def test_the_loss_at_the_start_is_the_median():
    runs = [GOOD | {"loss": [x, 1.0, 1.0]} for x in (5.0, 6.0, 100.0, NAN)]
    assert RateFinder({"a": {0.1: runs}})._first == 6.0
    assert RateFinder({"a": {0.1: GOOD | {"loss": [NAN, NAN, NAN]}}})._first == 0.0


# What is read


def test_histories_may_be_objects_dicts_and_single():
    table = run("AdamW", 0.003, 0)
    for one in (table, SimpleNamespace(**table), [table], (SimpleNamespace(**table),)):
        finder = RateFinder({"AdamW": {0.003: one}})
        (seed,) = curves(finder)
        for name, column in seed.items():
            np.testing.assert_allclose(column, table[name], rtol=6e-8)


def test_curves_are_float32_up_to_the_divergence():
    data = grid()
    packed = iter(curves(RateFinder(data)))
    for rates in data.values():
        for rate in sorted(rates):
            for history in rates[rate]:
                found = next(packed)
                for name, column in found.items():
                    np.testing.assert_allclose(column, history[name], rtol=6e-8)
    assert next(packed, None) is None


def test_the_state_of_a_large_grid_is_small():
    rates = 10.0 ** np.linspace(-4, 0, 9)
    random = np.random.default_rng(0)

    def one() -> dict:
        return {
            "step": range(1, 301),
            "loss": random.random(300).tolist(),
            "rate": [0.1] * 300,
            "gradient_norm": random.random(300).tolist(),
            "validation_step": range(50, 301, 50),
            "validation_loss": random.random(6).tolist(),
        }

    data = {f"o{i}": {x: [one() for _ in range(3)] for x in rates} for i in range(7)}
    finder = RateFinder(data)
    state = json.dumps(dependency_state([finder], drop_defaults=False))
    scripts = len(json.dumps(finder._esm)) + len(json.dumps(finder._css))
    assert len(state) - scripts < 500_000
    assert repr(finder) == "RateFinder(7 optimizers, 63 rates, 189 runs)"


def test_repr():
    assert repr(RateFinder({"a": {1: GOOD}})) == "RateFinder(1 optimizer, 1 rate, 1 run)"


# What is refused


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (3, TypeError, "grid is a int; expected a dict of optimizers' names"),
        ([GOOD], TypeError, "grid is a list; expected a dict of optimizers' names"),
        ({}, ValueError, "grid is empty; expected at least one optimizer"),
        ({3: {0.1: GOOD}}, TypeError, "grid names 3, a int; expected a string"),
        ({"a": [GOOD]}, TypeError, r"grid\['a'\] is a list; expected a dict from rate to hist"),
        ({"a": {}}, ValueError, r"grid\['a'\] is empty; expected at least one rate"),
        ({"a": {"0.1": GOOD}}, TypeError, r"grid\['a'\] has a rate '0.1'; expected a number"),
        ({"a": {True: GOOD}}, TypeError, r"grid\['a'\] has a rate True; expected a number"),
        ({"a": {0: GOOD}}, ValueError, r"grid\['a'\] has a rate 0; expected a positive, finite"),
        ({"a": {-0.1: GOOD}}, ValueError, r"grid\['a'\] has a rate -0.1; expected a positive"),
        ({"a": {INF: GOOD}}, ValueError, r"grid\['a'\] has a rate inf; expected a positive"),
        ({"a": {NAN: GOOD}}, ValueError, r"grid\['a'\] has a rate nan; expected a positive"),
        ({"a": {0.1: []}}, ValueError, r"grid\['a'\]\[0.1\] is empty; expected one history"),
        ({"a": {0.1: 3}}, TypeError, r"grid\['a'\]\[0.1\] is a int; expected a History, a dict"),
        ({"a": {0.1: [GOOD, 3]}}, TypeError, r"grid\['a'\]\[0.1\]\[1\] is a int; expected a Hi"),
        (
            {"a": {0.1: [{"step": [1]}]}},
            ValueError,
            r"grid\['a'\]\[0.1\]\[0\] has no 'loss'; expected 'step' and 'loss'",
        ),
        (
            {"a": {0.1: GOOD | {"loss": [1.0]}}},
            ValueError,
            r"grid\['a'\]\[0.1\].loss has 1 values, but grid\['a'\]\[0.1\].step has 3",
        ),
        (
            {"a": {0.1: [GOOD | {"loss": [1.0, "2", 3.0]}]}},
            TypeError,
            r"grid\['a'\]\[0.1\]\[0\].loss='2' \(new row 1\), expected a number",
        ),
        (
            {"a": {0.1: {"step": [], "loss": []}}},
            ValueError,
            "grid holds no step of any run; expected at least one",
        ),
    ],
)
def test_bad_grids_are_refused(bad, error, message):
    with refused(error, message):
        RateFinder(bad)


OPTIONS = [
    ({"optimizer": "Adam"}, r"optimizer names 'Adam', expected names among \['SGD', 'AdamW', 'L"),
    ({"rate": 0.02}, r"rate=0.02, expected one of 'SGD': \[0.03, 0.1, 0.3, 1.0, 3.0\]"),
    ({"hidden": ["Adam"]}, r"hidden names 'Adam', expected names among \['SGD'"),
    ({"smoothing": 1.0}, "smoothing=1.0, expected 0 to 0.99"),
    ({"smoothing": NAN}, "smoothing=nan, expected 0 to 0.99"),
]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *OPTIONS,
        ({"rate": "fast"}, "rate='fast', expected one of 'SGD'"),
        ({"optimizer": "AdamW", "rate": 3.0}, r"rate=3.0, expected one of 'AdamW': \[0.0003"),
        ({"compare": "seeds"}, "compare='seeds', expected 'rates' or 'optimizers'"),
    ],
)
def test_bad_options_are_refused(options, message):
    with refused(ValueError, message):
        RateFinder(grid(seeds=1), **options)


# Traits


@pytest.mark.parametrize(("options", "message"), OPTIONS)
def test_traits_stay_among_what_there_is(options, message):
    finder = RateFinder(grid(seeds=1))
    ((name, value),) = options.items()
    before = getattr(finder, name)
    with refused(ValueError, message):
        setattr(finder, name, value)
    assert getattr(finder, name) == before


def test_a_rate_is_the_grids_own():
    finder = RateFinder(grid(seeds=1), rate=1)
    assert finder.rate == 1.0
    finder.rate = 0.3 * (1 + 1e-9)
    assert finder.rate == 0.3


def test_another_optimizer_takes_the_nearest_rate():
    finder = RateFinder(grid(seeds=1), optimizer="AdamW", rate=0.003)
    for name, rate in (("Lion", 0.003), ("SGD", 0.03), ("AdamW", 0.03), ("Lion", 0.003)):
        finder.optimizer = name
        assert finder.rate == rate
    finder = RateFinder({"a": {0.5: GOOD}, "b": {0.1: GOOD, 1.2: GOOD}})
    finder.optimizer = "b"
    assert finder.rate == 1.2  # a factor of 2.4 away, and 0.1 one of 5


def test_the_page_changes_optimizer_and_rate_at_once():
    finder = RateFinder(grid(seeds=1), optimizer="AdamW", rate=0.003)
    finder.set_state({"optimizer": "SGD", "rate": 3})  # a page writes 3.0 so
    assert (finder.optimizer, finder.rate) == ("SGD", 3.0)
    finder.set_state({"rate": 0.001, "optimizer": "Lion"})
    assert (finder.optimizer, finder.rate) == ("Lion", 0.001)
