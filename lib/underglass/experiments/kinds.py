"""The kinds of recipes that a recording may have, by the name in its file."""

from typing import TypeAlias

from underglass.experiments.architectures.recipe import ArchitectureRecipe
from underglass.experiments.film_sentiment.recipe import FilmRecipe
from underglass.experiments.pretraining.recipe import PretrainingRecipe
from underglass.experiments.recipe import Recipe

AnyRecipe: TypeAlias = Recipe | FilmRecipe | PretrainingRecipe | ArchitectureRecipe
KINDS: dict[str, type[AnyRecipe]] = {
    "speeches_gpt": Recipe,
    "film_sentiment": FilmRecipe,
    "pretraining": PretrainingRecipe,
    "architectures": ArchitectureRecipe,
}
