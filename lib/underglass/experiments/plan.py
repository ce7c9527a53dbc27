"""A plan: which recipes are run, under which seeds, and in which order."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from underglass.experiments.kinds import AnyRecipe
from underglass.experiments.recipe import task


@dataclass(frozen=True)
class Plan:
    """An experiment.

    Attributes:
        about: what is done, in words, for the file.
        recipes: pairs (settings, recipe); the settings tell the recipes apart.
        seeds: each recipe runs once under each.
        keeps: the columns of a run's history that the file has.
        data: the data sets that are read.
        task: says what all recipes have in common.
        survivors: of successive halving. The recipes then have the settings "method", "trial" and
            "rung", and of each method so many of rung 0 (the most accurate ones) go on to rung 1,
            of those so many to rung 2, and so on.
    """

    name: str
    about: str
    recipes: tuple[tuple[dict[str, Any], AnyRecipe], ...]
    seeds: tuple[int, ...]
    keeps: tuple[str, ...] = ("loss", "validation_loss")
    data: tuple[str, ...] = ("speeches",)
    task: Callable[[], dict[str, Any]] = task
    survivors: tuple[int, ...] = ()

    @property
    def most(self) -> int:
        """How many runs there will be."""
        if not self.survivors:
            return len(self.runs())
        methods = {settings["method"] for settings, _ in self.recipes}
        return len(self._of_rung(0)) + sum(self.survivors) * len(methods)

    def due(self, found: list[dict[str, Any]]) -> list[tuple[dict[str, Any], Any]]:
        """The runs that can be made now, after those whose columns these are; none at the end."""
        if not self.survivors:
            return self.runs()[len(found) :]
        known = self._of_rung(0)
        for rung, count in enumerate(self.survivors):
            if len(found) < len(known):
                break  # a rung begins when the one before is whole: who goes on is known then
            best = _best([own for own in found if own["settings"]["rung"] == rung], count)
            known += [run for run in self._of_rung(rung + 1) if run[0]["trial"] in best]
        return known[len(found) :]

    def _of_rung(self, rung: int) -> list[tuple[dict[str, Any], Any]]:
        return [run for run in self.runs() if run[0]["rung"] == rung]

    def runs(self) -> list[tuple[dict[str, Any], Any]]:
        """All runs, seed after seed; the settings of each have its seed."""
        return [
            (settings | {"seed": seed}, recipe)
            for seed in self.seeds
            for settings, recipe in self.recipes
        ]

    def configuration(self) -> dict[str, Any]:
        """All that the numbers depend on, as JSON holds it."""
        recipes = [{"settings": own, "recipe": asdict(recipe)} for own, recipe in self.recipes]
        return {
            "task": self.task(),
            "seeds": [*self.seeds],
            "recipes": recipes,
            "keeps": [*self.keeps],
        }


def _best(runs: list[dict[str, Any]], count: int) -> set[int]:
    """The trials of the so many most accurate runs of each method; a tie goes to the lower loss."""
    found: set[int] = set()
    for method in {run["settings"]["method"] for run in runs}:
        own = [run for run in runs if run["settings"]["method"] == method]
        own.sort(key=lambda run: (-(run["outcome"]["accuracy"] or 0), run["validation_loss"][-1]))
        found |= {run["settings"]["trial"] for run in own[:count]}
    return found
