"""Recorded runs: complete, true to what the code would do now, and not lost to a kill."""

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import pytest
from refusals import refused
from underglass import data
from underglass.experiments import Run, Spread, __main__, record, recorded, recording
from underglass.experiments.film_sentiment.recipe import FilmRecipe
from underglass.experiments.plans import PLANS, Plan
from underglass.experiments.recipe import Recipe, hash_of
from underglass.experiments.record import machine
from underglass.experiments.recording import read
from underglass.experiments.speeches_gpt import reading
from underglass.training import History
from underglass.widgets import TrainingCurves

NAMES = list(PLANS)
SMALL = Plan(
    "small",
    "Two recipes.",
    (
        ({"optimizer": "SGD", "rate": 0.1}, Recipe("SGD", 0.1, steps=3, rows=2, warmup_steps=1)),
        # A rate with which the second step's loss is finite, and the third is not.
        ({"optimizer": "SGD", "rate": 1e30}, Recipe("SGD", 1e30, steps=9, rows=2, warmup_steps=2)),
    ),
    seeds=(0, 1),
    keeps=("loss", "gradient_norm", "validation_loss"),
)


loaded = cache(recorded)


def quiet(_: str) -> None:
    """What there is to tell, nobody hears."""


@contextmanager
def cheap() -> Iterator[None]:
    """Validate on little; and name one machine, for someone may commit while the tests run."""
    known = {"hardware": "a processor, 1 thread", "torch": "2.0", "commit": 10 * "abcd"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "machine", lambda: known)
        patch.setattr(reading, "VALIDATION_WINDOWS", 3)
        yield


@pytest.fixture
def cheaply():
    with cheap():
        yield


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    """The small recording, made without a pause."""
    folder = tmp_path_factory.mktemp("small")
    with cheap():
        record.record(SMALL, folder / "small.json", folder / "small.jsonl", quiet)
    return folder / "small.json"


@pytest.fixture
def small(small_file):
    return read(small_file)


# What is in the library ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_configuration_is_what_the_code_would_run_now(name):
    assert hash_of(loaded(name).configuration) == hash_of(PLANS[name].configuration())
    assert loaded(name).about == PLANS[name].about


@pytest.mark.parametrize("name", NAMES)
def test_the_data_is_what_the_library_fetches(name):
    known = {name: data.entry_named(name).content for name in PLANS[name].data}
    assert loaded(name).data == known


@pytest.mark.parametrize("name", NAMES)
def test_every_run_of_the_plan_is_there_and_whole(name):
    plan, runs = PLANS[name], loaded(name).runs
    planned = [settings for settings, _ in plan.runs()]
    assert len(runs) == plan.most
    if not plan.survivors:  # of a search, test_experiments_plans knows who went on
        assert [run.settings for run in runs] == planned
    for run in runs:
        _, recipe = plan.runs()[planned.index(run.settings)]
        steps = recipe.steps if run.diverged is None else run.diverged - 1
        if getattr(recipe, "patience", None) is not None:
            steps = min(steps, len(run.history))
            assert steps % recipe.validate_every == 0 or steps == recipe.steps
        assert run.history.step == list(range(1, steps + 1))
        assert all(map(math.isfinite, run.history.loss))
        due = [s for s in run.history.step if s % recipe.validate_every == 0 or s == recipe.steps]
        assert run.history.validation_step == due
        if "gradient_norm" in plan.keeps:
            assert all(map(math.isfinite, run.history.gradient_norm))


@pytest.mark.parametrize("name", NAMES)
def test_where_it_was_made_is_told_in_neutral_words(name):
    made = loaded(name)
    assert made.command == f"python -m underglass.experiments {name}"
    for commit in made.commit.split("; "):
        assert len(commit) == 40, "made of committed code"
    assert "thread" in made.hardware
    assert "/" not in made.hardware


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_fits_into_a_page(name):
    assert (recording.FOLDER / f"{name}.json").stat().st_size < 700_000


@pytest.mark.parametrize("name", NAMES)
def test_twenty_steps_repeat(name, monkeypatch):
    """What this machine makes of the first steps of a run is what was recorded.

    Recorded losses have 5 digits. Another processor adds up in another order, and each step hands
    that on. Half of the last digit is at most 5e-5; other sums made 1e-7 of a loss in 20 steps.
    In bfloat16, with 8 bits, other sums may make some thousandths.
    """
    monkeypatch.setenv("UNDERGLASS_DEVICE", "cpu")  # the recordings' dropout is a CPU's
    run = min(loaded(name).runs, key=lambda run: run.final)
    (recipe,) = (recipe for settings, recipe in PLANS[name].runs() if settings == run.settings)
    if isinstance(recipe, FilmRecipe):
        recipe = replace(recipe, judged_on=10, in_full=False)  # which changes no step
    history, *_ = recipe.run(run.settings["seed"], steps=20)
    assert len(history) == 20
    rel = 2e-2 if getattr(recipe, "precision", None) == "bf16" else 1e-4
    assert history.loss == pytest.approx(run.history.loss[:20], rel=rel)
    assert history.rate == pytest.approx(run.history.rate[:20])


@pytest.mark.parametrize("name", NAMES)
def test_the_curves_widget_takes_the_histories(name):
    made = loaded(name)
    histories = [run.history for run in made.runs[:: len(PLANS[name].recipes)]]
    assert TrainingCurves({"one recipe": histories})


# Made anew, with little text --------------------------------------------------------------------


def test_file_holds_what_happened(small, cheaply):
    history, diverged, _ = SMALL.recipes[0][1].run(1)
    (run,) = small.where(rate=0.1, seed=1)
    assert (run.diverged, diverged) == (None, None)
    assert run.history.loss == pytest.approx(history.loss, rel=5e-5)  # 5 digits
    assert run.history.gradient_norm == pytest.approx(history.gradient_norm, rel=5e-3)  # 3 digits
    assert run.history.validation_loss == pytest.approx(history.validation_loss, rel=5e-5)
    assert run.history.rate == history.rate
    assert run.history.validation_step == history.validation_step == [3]
    assert run.history.name == "SGD, rate 0.1, seed 1"


def test_run_that_diverges_is_recorded_as_such(small):
    for run in small.where(rate=1e30):
        assert run.diverged == len(run.history) + 1
        assert 1 < run.diverged < 9
        assert all(map(math.isfinite, run.history.loss))
        assert run.final == math.inf
    assert small.final("rate")[1e30] == Spread(math.inf, math.inf, math.inf, 2)
    assert small.best("optimizer", "rate") == {"SGD": 0.1}


@pytest.mark.parametrize("runs_before", [0, 1, 3])
def test_interrupted_recording_goes_on_to_the_same_file(
    runs_before, small_file, tmp_path, monkeypatch, cheaply
):
    output, kept = tmp_path / "small.json", tmp_path / "kept" / "small.jsonl"
    real, made = Recipe.run, []

    def interrupted(recipe, seed, **options):
        if len(made) == runs_before:
            raise KeyboardInterrupt
        made.append(seed)
        return real(recipe, seed, **options)

    monkeypatch.setattr(Recipe, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        record.record(SMALL, output, kept, quiet)
    assert not output.exists()
    with kept.open("a") as file:
        file.write('{"settings": {"optim')  # the kill came while a run was written down

    told, counted = [], []
    monkeypatch.setattr(Recipe, "run", lambda r, seed, **_: counted.append(seed) or real(r, seed))
    record.record(SMALL, output, kept, told.append)
    assert told[0] == f"small: 4 runs, {runs_before} of them are there"
    assert len(counted) == 4 - runs_before
    assert output.read_bytes() == small_file.read_bytes()
    record.record(SMALL, output, kept, told.append)
    assert "small: 4 runs, 4 of them are there" in told
    assert output.read_bytes() == small_file.read_bytes()


def test_runs_of_another_configuration_are_not_kept(tmp_path, cheaply):
    output, kept = tmp_path / "small.json", tmp_path / "small.jsonl"
    one = replace(SMALL, recipes=SMALL.recipes[:1], seeds=(0,))
    other = replace(
        one, recipes=(({"optimizer": "SGD", "rate": 0.2}, Recipe("SGD", 0.2, steps=2)),)
    )
    record.record(one, output, kept, quiet)
    told = []
    record.record(other, output, kept, told.append)
    assert told[0] == "small: 1 runs, 0 of them are there"
    assert [run.settings["rate"] for run in read(output).runs] == [0.2]


def test_more_seeds_may_come_later(tmp_path, small_file, cheaply):
    output, kept = tmp_path / "small.json", tmp_path / "small.jsonl"
    record.record(replace(SMALL, seeds=(0,)), output, kept, quiet)
    assert len(read(output).runs) == 2
    told = []
    record.record(SMALL, output, kept, told.append)
    assert told[0] == "small: 4 runs, 2 of them are there"
    assert output.read_bytes() == small_file.read_bytes()


def test_file_that_was_changed_by_hand_is_refused(tmp_path, small_file):
    content = json.loads(small_file.read_text("utf-8"))
    content["configuration"]["recipes"][0]["recipe"]["rate"] = 7.0
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(content))
    with refused(ValueError, "changed.json: its configuration has the sha256 .*: expected .*noted"):
        read(path)
    path.write_text("{}")
    with refused(ValueError, "changed.json is no recording: expected the format"):
        read(path)


def test_command_names_what_it_knows(capsys):
    with pytest.raises(SystemExit) as stop:
        __main__.main(["nothing"])
    assert stop.value.code == 2
    assert "optimizer_rates" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        __main__.main([NAMES[0], "--seeds", "9"])
    assert "--seeds 9: expected 1 to 3" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        __main__.main(["--help"])
    assert "goes on" in capsys.readouterr().out


def test_machine_is_told_in_neutral_words(monkeypatch):
    here = machine()
    assert re.fullmatch(r"[0-9a-f]{40}(, and changes)?|unknown", here["commit"])
    assert re.fullmatch(r"[^/]+, \d+ threads?", here["hardware"])
    monkeypatch.setenv("PATH", "")
    assert machine()["commit"] == "unknown"  # where there is no git


# Looking at it ------------------------------------------------------------------------------------


def made_up(**settings) -> Run:
    loss = float(settings.pop("loss"))
    history = History([1], [loss], [0.1], [math.nan], [math.nan], [1], [loss])
    return Run(settings, history, None)


@pytest.fixture
def looked_at(small):
    runs = [
        made_up(optimizer="A", rate=rate, seed=seed, loss=10 * rate + seed)
        for seed in (0, 1)
        for rate in (0.1, 0.2)
    ]
    return replace(small, runs=[*runs, made_up(optimizer="B", rate=3.0, seed=0, loss=7)])


def test_where_finds_runs_by_their_settings(looked_at):
    assert [r.settings["seed"] for r in looked_at.where(optimizer="A", rate=0.2)] == [0, 1]
    assert looked_at.where() == looked_at.runs
    assert repr(looked_at) == "Recording(small: 5 runs by optimizer, rate, seed)"


def test_grid_has_a_level_for_each_name(looked_at):
    grid = looked_at.grid("optimizer", "rate")
    assert {key: list(own) for key, own in grid.items()} == {"A": [0.1, 0.2], "B": [3.0]}
    assert [history.loss for history in grid["A"][0.2]] == [[2.0], [3.0]]
    assert looked_at.grid("rate", optimizer="B") == {3.0: grid["B"][3.0]}


def test_final_is_the_spread_over_the_seeds(looked_at):
    assert looked_at.final("optimizer", "rate")["A"][0.2] == Spread(2.5, 2.0, 3.0, 0)
    assert str(Spread(2.5, 2.0, 3.0, 0)) == "2.500 (2.000 to 3.000)"
    assert looked_at.best("optimizer", "rate") == {"A": 0.1, "B": 3.0}


def test_steps_to_a_loss_looks_at_means():
    losses = [5.0, 1.0, 5.0, 3.0, 2.0, 2.0]
    history = History(loss=losses)
    run = Run({}, history, None)
    assert run.steps_to(3.0, over=2) == 2
    assert run.steps_to(2.5, over=2) == 5
    assert run.steps_to(1.9, over=2) is None


def test_what_is_refused(looked_at):
    with refused(ValueError, "name='optimiser_rates': expected one of .*optimizer_rates"):
        recorded("optimiser_rates")
    with refused(ValueError, "'speed' is no setting of small: expected one of optimizer, rate, se"):
        looked_at.where(speed=3)
    with refused(ValueError, r"rate=3\.0: expected one of 0\.1, 0\.2, where optimizer='A'"):
        looked_at.where(optimizer="A", rate=3.0)
    with refused(ValueError, "'speed' is no setting of small"):
        looked_at.grid("optimizer", "speed")
    with refused(ValueError, r"names=\(\): expected one or more of optimizer, rate, seed"):
        looked_at.grid()
    with refused(ValueError, r"rate is left open, with 0\.1, 0\.2: expected its name too, or one"):
        looked_at.grid("optimizer")
    with refused(ValueError, "schedule='step': expected one of constant, cosine"):
        Recipe("SGD", 0.1, 3, schedule="step")
