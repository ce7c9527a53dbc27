"""Histories as the curves' data: what is read, refused, packed, and sent while a run grows."""

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from curve_cases import history
from refusals import refused
from underglass.widgets import TrainingCurves

PARTS = ("_old", "_recent", "_new")
NAMES = ("step", "loss", "rate", "gradient_norm", "validation_step", "validation_loss")


def unpacked(curves: TrainingCurves) -> list[dict[str, np.ndarray]]:
    """The rows that the state holds, seed by seed; written apart from the code that packs them."""
    seeds = [{name: [] for name in NAMES} for run in curves._runs for _ in range(run["seeds"])]
    for part in PARTS:
        words = np.frombuffer(getattr(curves, part), "<u4")
        while len(words):
            seed, rows, checks, flags, first, stride = (int(x) for x in words[:6])
            words = words[6:]

            def take(count, kind="<f4"):
                nonlocal words
                column, words = words[:count].view(kind), words[count:]
                return column.tolist()

            own = seeds[seed]
            own["step"] += (
                take(rows, "<u4") if flags & 1 else [first + stride * i for i in range(rows)]
            )
            own["loss"] += take(rows)
            own["rate"] += take(rows) if flags & 2 else [math.nan] * rows
            own["gradient_norm"] += take(rows) if flags & 4 else [math.nan] * rows
            own["validation_step"] += take(checks, "<u4")
            own["validation_loss"] += take(checks)
    return [{name: np.array(column) for name, column in seed.items()} for seed in seeds]


def check_rows(curves: TrainingCurves, *histories: dict) -> None:
    found = unpacked(curves)
    assert len(found) == len(histories)
    for own, expected in zip(found, histories, strict=True):
        for name in NAMES:
            wanted = np.array(expected.get(name) or [], np.float64)
            if name in ("rate", "gradient_norm") and not len(wanted):
                wanted = np.full(len(expected["step"]), np.nan)
            np.testing.assert_allclose(own[name], wanted, rtol=1e-7)


def names(curves: TrainingCurves) -> list[str]:
    return [run["name"] for run in curves._runs]


def cut(whole: dict, rows: int) -> dict:
    """The history as it was after `rows` steps."""
    checks = sum(step <= whole["step"][rows - 1] for step in whole["validation_step"])
    return {
        name: column[: checks if name.startswith("validation") else rows]
        for name, column in whole.items()
    }


# What is read


def test_a_history_may_be_an_object_or_a_dict():
    table = history()
    for one in (table, SimpleNamespace(**table)):
        check_rows(TrainingCurves(one), table)


def test_runs_are_named():
    a, b, c = history(name="AdamW"), history(seed=1), history(seed=2, name="AdamW")
    assert names(TrainingCurves(b)) == ["run"]
    assert names(TrainingCurves([a, b, c])) == ["AdamW", "run 2", "AdamW (3)"]
    many = TrainingCurves({"loss": [a, b], "step": c})
    assert many._runs == [{"name": "loss", "seeds": 2}, {"name": "step", "seeds": 1}]
    check_rows(many, a, b, c)


def test_what_is_missing_is_not_a_number():
    short = {"step": [2, 3, 7], "loss": [3.0, torch.tensor(2.0), np.float32(1.5)]}
    check_rows(TrainingCurves(short), {"step": [2, 3, 7], "loss": [3.0, 2.0, 1.5]})
    holes = short | {"rate": [0.1, None, 0.3], "gradient_norm": []}
    (found,) = unpacked(TrainingCurves(holes))
    np.testing.assert_allclose(found["rate"], [0.1, math.nan, 0.3], rtol=1e-7)
    assert np.isnan(found["gradient_norm"]).all()


def test_a_run_that_diverged_is_kept_as_it_is():
    losses = [3.0, math.nan, math.inf, 1e300]
    (found,) = unpacked(TrainingCurves({"step": range(4), "loss": losses}))
    np.testing.assert_array_equal(found["loss"], [3.0, math.nan, math.inf, math.inf])
    stored = {"step": [1, 2], "loss": [3.0, None]}  # as JSON holds it
    curves = TrainingCurves(stored)
    curves.update({"step": [1, 2, 3], "loss": [3.0, None, 2.0]})
    curves.flush()
    check_rows(curves, {"step": [1, 2, 3], "loss": [3.0, math.nan, 2.0]})


def test_steps_that_are_not_regular_are_kept():
    steps = [0, 1, 2, 5, 2**32 - 1]
    check_rows(
        TrainingCurves({"step": steps, "loss": [1.0] * 5}), {"step": steps, "loss": [1.0] * 5}
    )


def test_repr_and_size():
    assert repr(TrainingCurves()) == "TrainingCurves(0 runs, 0 steps)"
    assert repr(TrainingCurves(history(1))) == "TrainingCurves(1 run, 1 step)"
    assert repr(TrainingCurves([history(5), history(9)])) == "TrainingCurves(2 runs, 9 steps)"
    runs = [history(5000, seed=i, checks=100) for i in range(8)]
    size = len(TrainingCurves(runs)._old)  # of the page's 1.5 MB, as base64
    assert size * 4 / 3 < 700_000


# What is refused

GOOD = {"step": [1, 2], "loss": [3.0, 2.0]}


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (3, TypeError, "history is a int; expected a History, a dict"),
        ([GOOD, 3], TypeError, r"history\[1\] is a int; expected a History or a dict"),
        ({"a": 3}, TypeError, r"history\['a'\] is a int; expected a History, or a list"),
        ({"a": []}, ValueError, r"history\['a'\] is an empty list; expected one history"),
        ({"a": [GOOD, 3]}, TypeError, r"history\['a'\]\[1\] is a int; expected a History"),
        ({3: GOOD}, TypeError, "name=3 of a run is a int; expected a string"),
        ({"step": [1]}, ValueError, "history has no 'loss'; expected 'step' and 'loss'"),
        (GOOD | {"loss": [3.0]}, ValueError, "history.loss has 1 values, but history.step has 2"),
        (GOOD | {"rate": [3.0]}, ValueError, "history.rate has 1 values, but history.step has 2"),
        (
            {"a": [GOOD, GOOD | {"validation_step": [1]}]},
            ValueError,
            r"history\['a'\]\[1\].validation_loss has 0 values, but .*validation_step has 1",
        ),
        (GOOD | {"loss": [3.0, "2"]}, TypeError, r"history.loss='2' \(new row 1\), expected a num"),
        (GOOD | {"loss": [3.0, [1]]}, TypeError, r"history.loss=\[1\] .* expected a number"),
        (GOOD | {"loss": "ab"}, TypeError, "history.loss is a str; expected a list of numbers"),
        (GOOD | {"step": [1, 1]}, ValueError, "history.step=1 comes after 1, expected steps that"),
        (GOOD | {"step": [1.0, 2.5]}, ValueError, "history.step=1.0 .* expected a whole number"),
        (GOOD | {"step": [-1, 2]}, ValueError, "history.step=-1 .* expected a whole number from 0"),
        (GOOD | {"step": [1, 2**32]}, ValueError, "history.step=4294967296 .* expected a whole"),
    ],
)
def test_bad_histories_are_refused(bad, error, message):
    with refused(error, message):
        TrainingCurves(bad)
    curves = TrainingCurves({"kept": GOOD})
    with refused(error, message):
        curves.update(bad)
    assert names(curves) == ["kept"]
    check_rows(curves, GOOD)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smoothing": 1.0}, "smoothing=1.0, expected 0 to 0.99"),
        ({"smoothing": math.nan}, "smoothing=nan, expected 0 to 0.99"),
        ({"band": "sd"}, "band='sd', expected 'range' or 'deviation'"),
        ({"zoom": [3]}, r"zoom=\[3\], expected \[\] or \[first, last\]"),
        ({"zoom": [5, 5]}, r"zoom=\[5, 5\], expected"),
        ({"hidden": ["adam"]}, r"hidden names 'adam', expected names among \['run'\]"),
        ({"step": -1}, "step=-1, expected None or a whole number from 0 on"),
    ],
)
def test_bad_options_are_refused(options, message):
    with refused(ValueError, message):
        TrainingCurves(GOOD, **options)


@pytest.mark.parametrize(
    ("trait", "value", "message"),
    [
        ("smoothing", -0.1, "smoothing=-0.1, expected 0 to 0.99"),
        ("zoom", [4.0, 2.0], r"zoom=\[4.0, 2.0\], expected"),
        ("step", -3, "step=-3, expected None"),
    ],
)
def test_traits_stay_within_bounds(trait, value, message):
    curves = TrainingCurves(GOOD)
    before = getattr(curves, trait)
    with refused(ValueError, message):
        setattr(curves, trait, value)
    assert getattr(curves, trait) == before


# What is sent while a run grows


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = SimpleNamespace(t=100.0)
    monkeypatch.setattr("underglass.widgets.training_curves.time.monotonic", lambda: now.t)
    return now


def listen(curves: TrainingCurves) -> list[dict[str, int]]:
    """From now on, every message to the page: the size of each trait that it carries."""
    sent = []

    def hear(msg, buffers=None):
        paths = [path[0] for path in msg["buffer_paths"]]
        sizes = [memoryview(buffer).nbytes for buffer in buffers or []]
        sent.append(dict.fromkeys(msg["state"], 0) | dict(zip(paths, sizes, strict=True)))

    curves._send = hear
    return sent


def test_growing_sends_only_the_new_end(clock):
    whole = history(20_000, checks=100)
    curves = TrainingCurves(cut(whole, 10_000))
    sent = listen(curves)
    for rows in range(10_001, 10_701):
        clock.t += 0.3
        curves.update(cut(whole, rows) if rows % 100 else SimpleNamespace(**cut(whole, rows)))
        if "_recent" in sent[-1]:
            check_rows(curves, cut(whole, rows))
    assert sum("_recent" in message for message in sent) == 2  # once every 256 rows
    assert len(sent) == 700
    sizes = [sum(message.values()) for message in sent]
    assert np.median(sizes) < 4000  # at most 256 rows, of 12 bytes here, and not all 10,700
    assert np.mean(sizes) < 6000
    assert not any("_old" in message for message in sent)
    for rows in range(11_000, 20_001, 500):
        clock.t += 0.3
        curves.update(cut(whole, rows))
    check_rows(curves, whole)
    assert sum("_old" in message for message in sent) == 2  # once every 4,096 rows


def test_changes_are_sent_at_most_four_times_a_second(clock):
    whole = history(900)
    curves = TrainingCurves(cut(whole, 1))
    sent = listen(curves)
    for rows in range(2, 901):
        clock.t += 0.01
        curves.update(cut(whole, rows))
    assert 30 <= len(sent) <= 37  # nine seconds
    assert len(unpacked(curves)[0]["step"]) < 900
    state = curves.get_state()  # whoever asks, a page that is saved or a second view, gets all
    assert state["_old"] or state["_new"]
    check_rows(curves, whole)


def test_the_last_change_is_sent_when_the_cell_is_done():
    whole = history(50)

    async def cell():
        curves = TrainingCurves(cut(whole, 1))
        sent = listen(curves)
        for rows in range(2, 51):
            curves.update(cut(whole, rows))
        before = len(sent)
        await asyncio.sleep(0.4)
        assert len(sent) == before + 1
        check_rows(curves, whole)

    with ThreadPoolExecutor() as apart:  # other tests' browser has a loop of its own here
        apart.submit(asyncio.run, cell()).result()


def test_one_history_that_grows_in_place(clock):
    whole, growing = history(40), cut(history(40), 1)
    curves = TrainingCurves(growing)
    for rows in range(2, 41):
        clock.t += 1
        for name, column in cut(whole, rows).items():
            if name != "name":
                growing[name] = column
        curves.update(growing)
    check_rows(curves, whole)


def test_a_history_that_went_back_is_shown_anew(clock):
    first, second = history(60, seed=1), history(60, seed=2)
    curves = TrainingCurves({"a": cut(first, 50), "b": first})
    for changed in (cut(first, 30), second, cut(second, 20)):
        clock.t += 1
        curves.update({"a": changed})
        check_rows(curves, changed, first)


def test_runs_and_seeds_are_added(clock):
    a, b, c = (history(30, seed=i) for i in range(3))
    curves = TrainingCurves({"a": a})
    clock.t += 1
    curves.update({"b": b})
    assert names(curves) == ["a", "b"]
    clock.t += 1
    curves.update({"a": [a, c]})
    assert [run["seeds"] for run in curves._runs] == [2, 1]
    check_rows(curves, a, c, b)


def test_append_by_hand(clock):
    curves = TrainingCurves()
    for step in range(5):
        clock.t += 1
        curves.append(step, 3.0 - step, rate=0.1, gradient_norm=2.0 if step else None)
        if step % 2:
            curves.append(step, validation_loss=4.0 - step)
    clock.t += 1
    curves.append(7, 1.0, validation_loss=2.0, name="other")
    check_rows(
        curves,
        {
            "step": range(5),
            "loss": [3.0, 2.0, 1.0, 0.0, -1.0],
            "rate": [0.1] * 5,
            "gradient_norm": [math.nan, 2.0, 2.0, 2.0, 2.0],
            "validation_step": [1, 3],
            "validation_loss": [3.0, 1.0],
        },
        {"step": [7], "loss": [1.0], "validation_step": [7], "validation_loss": [2.0]},
    )
    assert names(curves) == ["run", "other"]


def test_append_refuses():
    curves = TrainingCurves({"run": GOOD, "two": [GOOD, GOOD]})
    with refused(ValueError, "loss=None and validation_loss=None, expected at least one"):
        curves.append(3)
    with refused(ValueError, "step=2 comes after 2, expected steps that increase"):
        curves.append(2, 1.0)
    with refused(ValueError, "name='two' has 2 seeds, expected a run of one"):
        curves.append(3, 1.0, name="two")
    with refused(TypeError, "loss='low' .* expected a number"):
        curves.append(3, "low")  # pyright: ignore[reportArgumentType]
    with refused(ValueError, "step=0.5 .* expected a whole number"):
        curves.append(0.5, 1.0, name="new")  # pyright: ignore[reportArgumentType]
    check_rows(curves, GOOD, GOOD, GOOD)
