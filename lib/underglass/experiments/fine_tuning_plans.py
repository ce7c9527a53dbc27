"""The recorded runs of chapter 09: MiniLM fine-tuned on the film sentences."""

import math
import random
from dataclasses import replace
from typing import Any

from underglass.experiments.film_sentiment.reading import task
from underglass.experiments.film_sentiment.recipe import FilmRecipe
from underglass.experiments.plan import Plan

KEEPS = ("loss", "validation_loss")
DATA = ("minilm", "sentiment", "kjv", "web")

# The search -----------------------------------------------------------------------------------

TRIALS = 9  # of each method, in the first rung; a third of them goes on to the next
AMOUNTS = (400, 1200, 3600)  # three times the sentences for a third of the trials: equal work
SEARCHED = {"head": (1e-4, 1e-1), "full": (1e-5, 1e-3), "lora": (1e-4, 1e-2)}  # rates
ABOUT_SEARCH = """\
Random search with successive halving. For each of three methods nine recipes are drawn (the rate
evenly on a logarithmic scale, the rest from a few values), and trained on 400 sentences; the three
most accurate ones on 1,200; the best of them on 3,600. Two epochs each (20 for the head alone), the
first 500 validation sentences decide, one seed."""


def search() -> Plan:
    """Which rate, batch, warm-up and weight decay."""
    draw, recipes, drawn = random.Random(2026), [], []
    for method, (low, high) in SEARCHED.items():
        drawn += [(method, *_drawn(draw, low, high)) for _ in range(TRIALS)]
    for rung, amount in enumerate(AMOUNTS):
        for trial, (method, rate, rows, warmup, decay) in enumerate(drawn):
            own = {"method": method, "trial": trial, "rung": rung, "amount": amount}
            own |= {"rate": rate, "rows": rows, "warmup": warmup, "weight_decay": decay}
            recipe = FilmRecipe(
                method,
                rate,
                20 if method == "head" else 2,
                amount=amount,
                rows=rows,
                warmup=warmup,
                weight_decay=decay,
                validations=2,
                judged_on=500,
            )
            recipes.append((own, recipe))
    return Plan(
        "fine_tuning_search",
        ABOUT_SEARCH.replace("\n", " "),
        tuple(recipes),
        seeds=(100,),
        keeps=KEEPS,
        data=("minilm", "sentiment"),
        task=task,
        survivors=(3, 1),
    )


def _drawn(draw: random.Random, low: float, high: float) -> tuple[float, int, float, float]:
    rate = math.exp(draw.uniform(math.log(low), math.log(high)))
    rest = draw.choice((16, 32, 64)), draw.choice((0.0, 0.1, 0.3)), draw.choice((0.0, 0.01, 0.1))
    return float(f"{rate:.2g}"), *rest


# The methods ----------------------------------------------------------------------------------

# The winners of the search.
CHOSEN: dict[str, dict[str, Any]] = {
    "head": {"rate": 0.00073, "rows": 16, "warmup": 0.1, "weight_decay": 0.0},
    "full": {"rate": 0.00011, "rows": 16, "warmup": 0.3, "weight_decay": 0.01},
    "lora": {"rate": 0.0025, "rows": 64, "warmup": 0.1, "weight_decay": 0.1},
}
# A step of LoRA is cheaper: three epochs of it take less time than two of full fine-tuning.
METHOD_EPOCHS = {"full": 2, "lora": 3, "head": 20}
ABOUT_METHODS = """\
Each method on all training sentences, two epochs (LoRA three, the head alone 20), with the recipe
that the search chose for it. Judged on validation, test, and sentences of three other origins:
their log-odds are noted, to 3 decimals."""


def methods() -> Plan:
    """All that is trained, LoRA's few numbers, and the head alone, on all sentences."""
    recipes = tuple(
        ({"method": method}, FilmRecipe(method, epochs=epochs, in_full=True, **CHOSEN[method]))
        for method, epochs in METHOD_EPOCHS.items()
    )
    return Plan(
        "fine_tuning_methods",
        ABOUT_METHODS.replace("\n", " "),
        recipes,
        seeds=(0, 1, 2),
        keeps=KEEPS,
        data=DATA,
        task=task,
    )


ABOUT_LAYERS = """\
Full fine-tuning as in fine_tuning_methods, but with the tables and the lower three of six blocks
frozen, or with a rate that shrinks by a fifth from layer to layer downwards. The recipe is that of
full fine-tuning: no search was made for them. Judged as there."""


def layers() -> Plan:
    """What becomes of full fine-tuning when the lower layers learn less, or nothing."""
    recipes = tuple(
        ({"method": method}, FilmRecipe(method, epochs=2, in_full=True, **CHOSEN["full"]))
        for method in ("frozen", "layerwise")
    )
    return Plan(
        "fine_tuning_layers",
        ABOUT_LAYERS.replace("\n", " "),
        recipes,
        seeds=(0, 1, 2),
        keeps=KEEPS,
        data=DATA,
        task=task,
    )


# The grid -------------------------------------------------------------------------------------

RATES = {
    "head": (3e-4, 3e-3, 3e-2),
    "full": (3e-5, 1e-4, 3e-4),
    "lora": (3e-4, 1e-3, 3e-3),
}
EPOCHS = {50: 12, 200: 6, 800: 3}  # little data is seen more often, or there would be no steps
ABOUT_GRID = """\
Three methods, three rates and 50, 200 or 800 training sentences, which each seed draws anew: for
12, 6 or 3 epochs (the head alone: 20). Judged on the first 400 validation sentences."""


def grid() -> Plan:
    """Method by rate by amount of data."""
    recipes = tuple(
        (
            {"method": method, "rate": rate, "amount": amount},
            FilmRecipe(
                method,
                rate,
                20 if method == "head" else EPOCHS[amount],
                amount=amount,
                validations=3,
                judged_on=400,
            ),
        )
        for amount in EPOCHS
        for method, rates in RATES.items()
        for rate in rates
    )
    return Plan(
        "fine_tuning_grid",
        ABOUT_GRID.replace("\n", " "),
        recipes,
        seeds=(10, 11),
        keeps=KEEPS,
        data=("minilm", "sentiment"),
        task=task,
    )


# The cures ------------------------------------------------------------------------------------

ABOUT_CURES = """\
Full fine-tuning on 200 sentences for 10 epochs, long enough to know them by heart, and with one
thing changed at a time. Each seed draws other sentences, the same ones for all recipes. Judged on
the first 400 validation sentences; early stopping goes by the loss on the same ones."""


def cures() -> Plan:
    """What helps against overfitting."""
    plain = FilmRecipe(
        "full", 2e-4, 10, amount=200, dropout=0.0, weight_decay=0.0, validations=5, judged_on=400
    )
    changed: dict[str, dict[str, Any]] = {
        "nothing": {},
        "dropout 0.1": {"dropout": 0.1},
        "dropout 0.3": {"dropout": 0.3},
        "weight decay 0.1": {"weight_decay": 0.1},
        "early stopping": {"patience": 1},
        "augmentation": {"drop": 0.15},
        "label smoothing": {"label_smoothing": 0.1},
        "soft labels": {"soft": True},
        "twice the sentences": {"amount": 400, "epochs": 5},
    }
    return Plan(
        "fine_tuning_cures",
        ABOUT_CURES.replace("\n", " "),
        tuple(({"cure": name}, replace(plain, **own)) for name, own in changed.items()),
        seeds=(20, 21),
        keeps=KEEPS,
        data=("minilm", "sentiment"),
        task=task,
    )
