"""The experiments that are recorded: which recipes, under which seeds."""

from dataclasses import asdict, dataclass
from typing import Any

from underglass.experiments.recipe import Recipe, task


@dataclass(frozen=True)
class Plan:
    """An experiment.

    Attributes:
        about: what is done, in words, for the file.
        recipes: pairs (settings, recipe); the settings tell the recipes apart.
        seeds: each recipe runs once under each.
        keeps: the columns of a run's history that the file has.
    """

    name: str
    about: str
    recipes: tuple[tuple[dict[str, Any], Recipe], ...]
    seeds: tuple[int, ...]
    keeps: tuple[str, ...] = ("loss", "validation_loss")

    def runs(self) -> list[tuple[dict[str, Any], Recipe]]:
        """All runs, seed after seed; the settings of each have its seed."""
        return [
            (settings | {"seed": seed}, recipe)
            for seed in self.seeds
            for settings, recipe in self.recipes
        ]

    def configuration(self) -> dict[str, Any]:
        """All that the numbers depend on, as JSON holds it."""
        recipes = [{"settings": own, "recipe": asdict(recipe)} for own, recipe in self.recipes]
        return {"task": task(), "seeds": [*self.seeds], "recipes": recipes, "keeps": [*self.keeps]}


# Two rates a decade, from one that hardly moves to one at which nothing is learned. Where these lie
# differs a thousandfold between optimizers.
RATES = {
    "SGD": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
    "momentum": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    "RMSProp": (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3),
    "Adam": (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
    "AdamW": (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
    "Lion": (0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03),
    "Muon": (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
}
ABOUT_RATES = """\
The small GPT on the speeches, with each optimizer at rates from too small to too large, the other
options at their defaults. Batches of 8 windows, 300 steps, a constant rate after a warm-up of 20,
no clipping, so that a run may diverge. The loss of each step and the validation loss at every 50th
are rounded to 5 significant digits."""


def optimizer_rates() -> Plan:
    """Which rate suits which optimizer, and how wide the choice is."""
    recipes = tuple(
        ({"optimizer": name, "rate": rate}, Recipe(name, rate, steps=300))
        for name, rates in RATES.items()
        for rate in rates
    )
    return Plan("optimizer_rates", ABOUT_RATES.replace("\n", " "), recipes, seeds=(0, 1, 2))


PLANS = {plan.name: plan for plan in (optimizer_rates(),)}
