"""Plans: what is run next, side by side or one by one, and whether the search was listened to."""

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from underglass import pretrained
from underglass.experiments import film_sentiment, fine_tuning_plans, record, recorded
from underglass.experiments.film_sentiment.recipe import FilmRecipe
from underglass.experiments.plan import Plan
from underglass.experiments.plans import PLANS
from underglass.experiments.recipe import Recipe
from underglass.experiments.recording import read
from underglass.finetuning import lora

SEARCH = PLANS["fine_tuning_search"]


def made_up(plan: Plan) -> list[dict]:
    """A search in which the trial with the higher number is the better one."""
    found: list[dict] = []
    while due := plan.due(found):
        for settings, _ in due:
            outcome = {"accuracy": settings["trial"] / 100}
            found.append({"settings": settings, "outcome": outcome, "validation_loss": [0.5]})
    return found


def test_successive_halving_passes_on_the_best_of_each_method():
    found = made_up(SEARCH)
    assert len(found) == SEARCH.most == 3 * (9 + 3 + 1)
    rungs: dict[tuple, list[int]] = {}
    for own in found:
        settings = own["settings"]
        rungs.setdefault((settings["rung"], settings["method"]), []).append(settings["trial"])
    assert rungs[0, "head"] == [*range(9)]
    assert rungs[1, "head"] == [6, 7, 8]
    assert rungs[2, "head"] == [8]
    assert rungs[1, "lora"] == [24, 25, 26]
    assert rungs[2, "lora"] == [26]


def test_a_rung_waits_for_the_one_before():
    found = made_up(SEARCH)
    for done in (0, 5, 26, 27, 30, 36, 38, 39):
        due = SEARCH.due(found[:done])
        assert [settings for settings, _ in due] == [
            own["settings"] for own in found[done : 27 if done < 27 else 36 if done < 36 else 39]
        ]


def test_a_tie_goes_to_the_lower_loss_and_a_run_that_diverged_to_the_end():
    found = made_up(SEARCH)[:27]
    for own in found:
        trial = own["settings"]["trial"]
        own["outcome"]["accuracy"] = None if trial % 9 > 5 else 0.8
        own["validation_loss"] = [trial / 10]
    going_on = [settings["trial"] for settings, _ in SEARCH.due(found)]
    assert going_on == [0, 1, 2, 9, 10, 11, 18, 19, 20]


def test_every_rung_does_equal_work():
    work = Counter(
        {
            rung: recipe.amount * count
            for (settings, recipe), count in zip(
                [run for run in SEARCH.runs() if run[0]["trial"] == 0], (9, 3, 1), strict=True
            )
            for rung in [settings["rung"]]
        }
    )
    assert {*work.values()} == {3600}


def test_the_search_draws_recipes_from_all_of_its_space():
    recipes = [recipe for settings, recipe in SEARCH.recipes if settings["rung"] == 0]
    assert all(isinstance(recipe, FilmRecipe) for recipe in recipes)
    for method, (low, high) in fine_tuning_plans.SEARCHED.items():
        rates = [
            settings["rate"]
            for settings, _ in SEARCH.recipes
            if (settings["method"], settings["rung"]) == (method, 0)
        ]
        assert all(low <= rate <= high for rate in rates)
        assert max(rates) / min(rates) > math.sqrt(high / low)
    assert {recipe.rows for recipe in recipes} == {16, 32, 64}


def test_the_methods_have_the_recipes_that_won_the_search():
    last = recorded("fine_tuning_search").where(rung=2)
    assert {run.settings["method"] for run in last} == {*fine_tuning_plans.CHOSEN}
    for run in last:
        chosen = fine_tuning_plans.CHOSEN[run.settings["method"]]
        assert chosen == {name: run.settings[name] for name in chosen}
        assert {*chosen} == {"rate", "rows", "warmup", "weight_decay"}
    full = PLANS["fine_tuning_methods"].recipes[0][1]
    for _, recipe in PLANS["fine_tuning_layers"].recipes:
        assert replace(recipe, method="full") == full


def test_the_recorded_search_went_on_with_the_best():
    found = [
        {
            "settings": run.settings,
            "outcome": run.outcome,
            "validation_loss": run.history.validation_loss,
        }
        for run in recorded("fine_tuning_search").runs
    ]
    assert SEARCH.due(found) == []
    for rung_ends in (27, 36):
        due = [settings for settings, _ in SEARCH.due(found[:rung_ends])]
        assert due == [own["settings"] for own in found[rung_ends : rung_ends + len(due)]]


def test_cures_change_one_thing_at_a_time():
    recipes = {settings["cure"]: recipe for settings, recipe in PLANS["fine_tuning_cures"].recipes}
    plain = recipes.pop("nothing")
    assert isinstance(plain, FilmRecipe)
    for name, recipe in recipes.items():
        changed = {key for key, value in vars(recipe).items() if value != vars(plain)[key]}
        assert len(changed - {"epochs"}) == 1
        assert changed == {"amount", "epochs"} or len(changed) == 1, name
        assert isinstance(recipe, FilmRecipe)
        assert recipe.epochs * (recipe.amount or 0) == 2000  # as much work


def test_runs_side_by_side_are_those_one_by_one(tmp_path, monkeypatch):
    known = {"hardware": "a processor, 1 thread", "torch": "2.0", "commit": 10 * "abcd"}
    monkeypatch.setattr(record, "machine", lambda: known)
    recipes = tuple(
        ({"optimizer": "SGD", "rate": rate}, Recipe("SGD", rate, steps=2, rows=2, warmup_steps=0))
        for rate in (0.1, 0.2, 0.3)
    )
    plan = Plan("few", "Three recipes.", recipes, seeds=(0,))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # which the workers take over: sums in the same order
    try:
        for workers in (1, 2):
            output = tmp_path / f"{workers}.json"
            record.record(
                plan, output, tmp_path / f"{workers}.jsonl", lambda _: None, workers=workers
            )
    finally:
        torch.set_num_threads(threads)
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    assert [run.settings["rate"] for run in read(tmp_path / "2.json").runs] == [0.1, 0.2, 0.3]


def test_weights_that_a_run_keeps_come_beside_the_recording(tmp_path):
    recipe = FilmRecipe(
        "full", 1e-4, 1, amount=8, rows=8, judged_on=4, validations=1, in_full=True, precision=None
    )
    plan = Plan(
        "kept", "One.", (({"method": "full"}, recipe),), (0,), task=SEARCH.task, data=SEARCH.data
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FilmRecipe, "judge", lambda *_: {"accuracy": 1.0})
        record.record(
            plan, tmp_path / "kept.json", tmp_path / "runs" / "kept.jsonl", lambda _: None
        )
    assert (tmp_path / "kept" / "full_0" / "updates.safetensors").is_file()
    assert read(tmp_path / "kept.json").runs[0].outcome["accuracy"] == 1.0


# Weights that come with the library ---------------------------------------------------------------


def test_the_adapter_is_that_of_the_recorded_run():
    (run,) = recorded("fine_tuning_methods").where(method="lora", seed=0)
    model = film_sentiment.model("head", seed=9)
    lora.load(model, film_sentiment.adapter())
    sentences = film_sentiment.split().test[:60]
    found = film_sentiment.log_odds(model, sentences).tolist()
    # Three decimals were noted; another processor adds up in another order.
    assert found == pytest.approx(run.outcome["log_odds"]["test"][:60], abs=2e-3)
    other = film_sentiment.log_odds(film_sentiment.model("head", seed=9), sentences).tolist()
    assert other != pytest.approx(found, abs=0.1)


def test_the_updates_are_small_changes_of_minilms_own_matrices():
    bert = pretrained.load("minilm")
    found = film_sentiment.updates()
    assert len(found) == 2
    for name, (before, change) in found.items():
        torch.testing.assert_close(before, bert.get_parameter(name.removeprefix("bert.")))
        assert change.shape == before.shape == (384, 384)
        assert 1e-3 < change.norm() / before.norm() < 0.5
        assert (change != 0).float().mean() > 0.99
