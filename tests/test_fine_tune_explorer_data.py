"""Runs of fine-tuning as the explorer's data: what is read, refused and packed, and its traits."""

import json
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from curve_cases import unpacked
from ipywidgets.embed import dependency_state
from refusals import refused
from tuning_cases import AMOUNTS, LOST, MISSING, RATES, accuracies, best_rate, cells, grid
from underglass.widgets import FineTuneExplorer

NAN, INF = math.nan, math.inf
RUNS = grid()
CELLS = cells(RUNS)
GOOD = {"step": [1, 2, 3], "loss": [3.0, 2.0, 1.0]}


def run(settings: Any = (), outcome: Any = (), history: Any = GOOD) -> SimpleNamespace:
    """A good run, but for what is given."""
    known = {"method": "full", "rate": 0.1, "amount": 50, "seed": 0}
    return SimpleNamespace(
        settings=known | dict(settings), history=history, outcome={"accuracy": 0.5} | dict(outcome)
    )


def curves(explorer: FineTuneExplorer) -> list[dict[str, np.ndarray]]:
    """The rows of each run, in order."""
    return unpacked(explorer._curves)


# What is read


def test_cells_hold_what_the_runs_came_to():
    explorer = FineTuneExplorer(RUNS)
    assert explorer._methods == list(RATES)
    found = {(explorer._methods[c["method"]], c["rate"], c["amount"]): c for c in explorer._cells}
    assert list(found) == [
        (m, r, a) for m in RATES for r in RATES[m] for a in AMOUNTS if (m, r, a) not in MISSING
    ]
    for key, cell in found.items():
        assert cell["accuracy"] == [one.outcome["accuracy"] for one in CELLS[key]]
        assert cell["accuracy"].count(None) == len(LOST.get(key, ()))
        kept = accuracies(CELLS[key])
        assert cell["mean"] == (pytest.approx(np.mean(kept), rel=1e-12) if kept else None)
        for cost in ("seconds", "memory", "stored", "trained"):
            assert cell[cost] == [one.outcome[cost] for one in CELLS[key]]


def test_the_best_rate_is_one_at_which_no_seed_diverged():
    explorer = FineTuneExplorer(RUNS)
    for method in RATES:
        for amount in AMOUNTS:
            assert explorer.best(method, amount) == best_rate(CELLS, method, amount)
    better = [run({"seed": i}, {"accuracy": x}) for i, x in enumerate((0.99, None))]
    other = [run({"rate": 0.2}, {"accuracy": 0.6})]
    assert FineTuneExplorer(better + other).best("full", 50) == 0.2
    assert FineTuneExplorer(better).best("full", 50) is None
    assert FineTuneExplorer([*better, run({"amount": 70})]).best("full", 50) is None
    tied = [run({"rate": rate}) for rate in (0.3, 0.1, 0.2)]
    assert FineTuneExplorer(tied).best("full", 50) == 0.1


def test_histories_may_be_objects_and_costs_unknown():
    bare = run(history=SimpleNamespace(**GOOD, validation_step=[3], validation_loss=[1.5]))
    explorer = FineTuneExplorer([bare])
    (cell,) = explorer._cells
    assert cell["seconds"] == cell["trained"] == [None]
    (found,) = curves(explorer)
    assert list(found["validation_loss"]) == [1.5]
    assert FineTuneExplorer([run(outcome={"accuracy": NAN, "memory": NAN})])._cells[0] == {
        "method": 0, "rate": 0.1, "amount": 50, "mean": None, "accuracy": [None],
        "seconds": [None], "memory": [None], "stored": [None], "trained": [None],
    }  # fmt: skip


def test_curves_are_means_of_as_many_steps_as_are_needed():
    explorer = FineTuneExplorer(RUNS)
    assert explorer._apart == 5  # 250 steps become 50 points
    ordered = [
        one for m in RATES for r in RATES[m] for a in AMOUNTS for one in CELLS.get((m, r, a), ())
    ]
    packed = curves(explorer)
    assert len(packed) == len(ordered) == len(RUNS)
    for found, one in zip(packed, ordered, strict=True):
        steps, loss = one.history["step"], one.history["loss"]
        apart = math.ceil(len(steps) / 60)
        parts = [loss[i : i + apart] for i in range(0, len(loss), apart)]
        wanted = [steps[min(i + apart, len(steps)) - 1] for i in range(0, len(steps), apart)]
        assert found["step"].tolist() == wanted
        np.testing.assert_allclose(found["loss"], [np.mean(part) for part in parts], rtol=1e-6)
        np.testing.assert_allclose(found["validation_step"], one.history["validation_step"])
        np.testing.assert_allclose(
            found["validation_loss"], one.history["validation_loss"], rtol=1e-6
        )


@pytest.mark.parametrize("checks", [30, 31, 100])
def test_of_many_validations_every_so_many_is_kept_and_the_last(checks):
    steps = list(range(1, checks + 1))
    history = {"step": steps, "loss": [1.0] * checks}
    history |= {"validation_step": steps, "validation_loss": [float(x) for x in steps]}
    (found,) = curves(FineTuneExplorer([run(history=history)]))
    every = math.ceil(checks / 30)
    assert found["validation_step"].tolist() == list(range(checks, 0, -every))[::-1]
    assert found["validation_loss"].tolist() == found["validation_step"].tolist()


def test_the_state_of_250_long_runs_is_small():
    random = np.random.default_rng(0)
    steps = range(1, 757)

    def one(method: str, rate: float, amount: int, seed: int) -> SimpleNamespace:
        history = {"step": steps, "loss": random.random(756).tolist()}
        history |= {"rate": [0.1] * 756, "gradient_norm": random.random(756).tolist()}
        history |= {"validation_step": range(18, 757, 18)}
        history["validation_loss"] = random.random(42).tolist()
        settings = {"method": method, "rate": rate, "amount": amount, "seed": seed}
        costs = dict.fromkeys(("seconds", "memory", "stored", "trained"), random.random() * 1e8)
        return SimpleNamespace(
            settings=settings, history=history, outcome=costs | {"accuracy": random.random()}
        )

    runs = [
        one(f"method {m}", 10.0 ** -(r + 1), 50 * 2**a, seed)
        for m in range(5)
        for r in range(5)
        for a in range(5)
        for seed in range(2)
    ]
    explorer = FineTuneExplorer(runs)
    state = json.dumps(dependency_state([explorer], drop_defaults=False))
    scripts = len(json.dumps(explorer._esm)) + len(json.dumps(explorer._css))
    print(f"state of {len(runs)} runs: {(len(state) - scripts) / 1000:.0f} kB")
    assert len(state) - scripts < 300_000
    assert repr(explorer) == "FineTuneExplorer(5 methods, 5 amounts, 125 cells, 250 runs)"


def test_repr():
    assert repr(FineTuneExplorer([run()])) == "FineTuneExplorer(1 method, 1 amount, 1 cell, 1 run)"


# What is refused


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (3, TypeError, "runs is a int; expected a list of runs"),
        (SimpleNamespace(runs=[]), TypeError, "expected a list of runs, such as its .runs"),
        ([], ValueError, "runs is empty; expected at least one run"),
        ([3], TypeError, r"runs\[0\] is a int without 'settings'; expected a run with settings"),
        ([run(), run(outcome=())], ValueError, r"\[1\] is 'full' at rate 0.1 with 50 and seed 0"),
        ([run({"method": 3})], TypeError, r"runs\[0\].settings\['method'\]=3, expected a string"),
        ([run({"rate": "fast"})], TypeError, r"\['rate'\]='fast', expected a number"),
        ([run({"rate": True})], TypeError, r"\['rate'\]=True, expected a number"),
        ([run({"rate": 0})], ValueError, r"\['rate'\]=0, expected more than 0"),
        ([run({"rate": -0.1})], ValueError, r"\['rate'\]=-0.1, expected more than 0"),
        ([run({"rate": NAN})], ValueError, r"\['rate'\]=nan, expected more than 0"),
        ([run({"rate": INF})], ValueError, r"\['rate'\]=inf, expected a finite number"),
        ([run({"amount": 0})], ValueError, r"\['amount'\]=0, expected a whole number from 1 on"),
        ([run({"amount": 1.5})], ValueError, r"\['amount'\]=1.5, expected a whole number"),
        ([run({"seed": -1})], ValueError, r"\['seed'\]=-1, expected a whole number from 0 on"),
        ([run({"seed": None})], ValueError, r"\['seed'\]=None, expected a whole number"),
        ([run({}, {"accuracy": 86.3})], ValueError, r"\['accuracy'\]=86.3, expected a share, 0 to"),
        ([run({}, {"accuracy": -0.1})], ValueError, r"\['accuracy'\]=-0.1, expected a share"),
        ([run({}, {"accuracy": "good"})], TypeError, r"\['accuracy'\]='good', expected a number"),
        ([run({}, {"seconds": -1})], ValueError, r"outcome\['seconds'\]=-1.0, expected 0"),
        ([run({}, {"memory": INF})], ValueError, r"\['memory'\]=inf, expected a finite number"),
        ([run({}, {"stored": "big"})], TypeError, r"\['stored'\]='big', expected a number"),
        ([run(history=3)], ValueError, r"runs\[0\].history has no 'step'; expected 'step' and"),
        (
            [run(history=GOOD | {"loss": [1.0]})],
            ValueError,
            r"runs\[0\].history.loss has 1 values, but runs\[0\].history.step has 3",
        ),
    ],
)  # fmt: skip
def test_bad_runs_are_refused(bad, error, message):
    with refused(error, message):
        FineTuneExplorer(bad)


@pytest.mark.parametrize("name", ["method", "rate", "amount", "seed"])
def test_a_missing_setting_is_named(name):
    bad = run()
    del bad.settings[name]
    with refused(ValueError, rf"runs\[1\].settings has no '{name}'; expected method, rate, am"):
        FineTuneExplorer([run({"rate": 0.3}), bad])


def test_parts_of_another_kind_are_refused():
    for name in ("settings", "outcome"):
        bad = run()
        setattr(bad, name, [])
        with refused(TypeError, rf"runs\[0\].{name} is a list; expected a dict"):
            FineTuneExplorer([bad])
        delattr(bad, name)
        with refused(TypeError, rf"runs\[0\] is a SimpleNamespace without '{name}'; expected a"):
            FineTuneExplorer([bad])
    bad = run()
    bad.outcome = {"seconds": 3.0}
    with refused(ValueError, r"runs\[0\].outcome has no 'accuracy'; expected the share"):
        FineTuneExplorer([bad])


OPTIONS = [
    ({"method": "head only"}, "method='head only', expected one of 'head', 'full', 'lora'"),
    ({"rate": 0.02}, r"rate=0.02, expected one of 'head': \[0.001, 0.003, 0.01, 0.03\]"),
    ({"amount": 100}, "amount=100, expected one of 50, 200, 800, 3200"),
    (
        {"compared": [("head", 0.01, 50)] * 2},
        r"compared\[1\]=.* once more, expected each",
    ),
    ({"compared": [("full", 1e-5, 50)]}, r"compared\[0\]=.*, expected a cell that was run"),
    ({"compared": [("full", 0.5, 50)]}, r"rate=0.5, expected one of 'full': \[1e-05, 3e-05"),
    ({"compared": [("none", 0.01, 50)]}, "method='none', expected one of 'head', 'full', 'lora'"),
    ({"compared": ["head"]}, r"compared\[0\]='head', expected \(method, rate, amount\)"),
    ({"compared": [("head", 0.01)]}, r"compared\[0\]=.*, expected \(method, rate, amount\)"),
    ({"compared": [("head", 0.01, 50)] * 9}, "compared has 9 cells, expected at most 8"),
]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *OPTIONS,
        ({"rate": "fast"}, "rate='fast', expected one of 'head'"),
        ({"method": "full", "rate": 0.03}, "rate=0.03, expected one of 'full'"),
        ({"colour": "loss"}, "colour='loss', expected one of 'accuracy', 'spread', 'seconds'"),
        ({"at": "worst"}, "at='worst', expected one of 'best', 'chosen'"),
    ],
)
def test_bad_options_are_refused(options, message):
    with refused(ValueError, message):
        FineTuneExplorer(RUNS, **options)


# Traits


def test_what_is_chosen_at_first():
    explorer = FineTuneExplorer(RUNS)
    assert (explorer.method, explorer.amount) == ("head", 3200)
    assert explorer.rate == best_rate(CELLS, "head", 3200)
    assert explorer.compared == []
    explorer = FineTuneExplorer(RUNS, method="full", amount=50)
    assert explorer.rate == best_rate(CELLS, "full", 50)
    lost = [run({"rate": 0.2}, {"accuracy": None}), run({}, {"accuracy": None})]
    assert FineTuneExplorer(lost).rate == 0.1


@pytest.mark.parametrize(("options", "message"), OPTIONS)
def test_traits_stay_among_what_there_is(options, message):
    explorer = FineTuneExplorer(RUNS)
    ((name, value),) = options.items()
    before = getattr(explorer, name)
    with refused(ValueError, message):
        setattr(explorer, name, value)
    assert getattr(explorer, name) == before


def test_rates_are_the_grids_own():
    explorer = FineTuneExplorer(RUNS, rate=0.01 * (1 + 1e-9))
    assert explorer.rate == 0.01
    explorer.compared = [("full", 1e-4 * (1 - 1e-9), 800), ["lora", 0.001, 50]]
    assert explorer.compared == [["full", 1e-4, 800], ["lora", 1e-3, 50]]


def test_another_method_takes_the_nearest_rate():
    explorer = FineTuneExplorer(RUNS, method="head", rate=0.01)
    for method, rate in (("lora", 3e-3), ("full", 1e-3), ("head", 1e-3)):
        explorer.method = method
        assert explorer.rate == rate


def test_the_page_changes_the_whole_cell_at_once():
    explorer, seen = FineTuneExplorer(RUNS), []
    explorer.observe(lambda change: seen.append(change["new"]), "method")
    explorer.set_state({"method": "full", "rate": 1e-05, "amount": 800})
    assert (explorer.method, explorer.rate, explorer.amount) == ("full", 1e-5, 800)
    explorer.set_state({"rate": 0.003, "amount": 50, "method": "lora"})
    assert (explorer.method, explorer.rate, explorer.amount) == ("lora", 0.003, 50)
    explorer.set_state({"compared": [["head", 0.01, 50]]})
    assert explorer.compared == [["head", 0.01, 50]]
    assert seen == ["full", "lora"]
