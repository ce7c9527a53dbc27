"""The recorded runs of chapter 08: a causal model, a masked one, an LSTM, and six sizes."""

import hashlib
from typing import Any

import torch

from underglass.experiments.plan import Plan
from underglass.experiments.pretraining import reading, scoring
from underglass.experiments.pretraining.recipe import (
    HIDDEN,
    MAX_NORM,
    VALIDATION_WINDOWS,
    PretrainingRecipe,
)

KEEPS = ("loss", "validation_loss")
SEEDS = (0,)
ABOUT = """\
A model that learns the State of the Union speeches from nothing: cleaned, without repeated
paragraphs, every tenth year for validation and every tenth for the test, in tokens of a vocabulary
of 3,072 learned from the training part. Windows of 256 tokens, 16 a batch; the rate rises for 5 %
of the steps, then falls on a cosine to 0. The loss of each step and the validation loss are rounded
to 5 significant digits. """
ABOUT_GPT = """\
A GPT, five layers of 192, four heads. Samples are what it writes after the same five words at five
stages, with the same random numbers; bits per byte are over all of validation and test."""


def task() -> dict[str, Any]:
    """What all recipes have in common, as JSON holds it: the texts, their split and the tokens."""
    parts = {part: torch.cat(reading.ids(part)) for part in reading.Split._fields}
    ids = b"".join(own.numpy().astype("<i8").tobytes() for own in parts.values())
    return {
        "kind": "pretraining",
        "tokens": {part: len(own) for part, own in parts.items()},
        "bytes": {part: reading.num_bytes(part) for part in parts},
        "vocab_size": reading.VOCAB_SIZE,
        "seq": reading.SEQ,
        "validation windows": VALIDATION_WINDOWS,
        "hidden": HIDDEN,
        "max_norm": MAX_NORM,
        "sample": [scoring.PROMPT, scoring.SAMPLE, scoring.TEMPERATURE],
        "ids": hashlib.sha256(ids).hexdigest(),
    }


def gpt() -> Plan:
    """The causal model that the course ships."""
    recipe = PretrainingRecipe(
        "gpt", 192, 5, 4, 2400, 0.008, samples_at=(10, 60, 240, 960, 2400), in_full=True
    )
    return _plan("pretraining_gpt", ABOUT_GPT, (({"model": "gpt"}, recipe),))


ABOUT_BERT = """\
A BERT, five layers of 192, four heads; 30 % of the tokens are hidden in training, 15 % in
validation. The share of hidden tokens found and the surprise are over all of validation and test,
each hidden token replaced by the mask."""


def bert() -> Plan:
    """The masked model that the course ships."""
    recipe = PretrainingRecipe("bert", 192, 5, 4, 3000, 0.004, hidden=0.3, in_full=True)
    return _plan("pretraining_bert", ABOUT_BERT, (({"model": "bert"}, recipe),))


ABOUT_START = """\
The first 300 steps of the masked model, in a schedule of their own, with the first weights that
the shipped one had, whose first block looks at the neighbors of each token, and without them."""


def start() -> Plan:
    """What first weights do to a masked model."""
    recipes = tuple(
        ({"kind": kind}, PretrainingRecipe(kind, 192, 5, 4, 300, 0.004, hidden=0.3))
        for kind in ("plain bert", "bert")
    )
    return _plan("pretraining_start", ABOUT_START, recipes)


ABOUT_LSTM = """\
An LSTM, two layers of 352, output tied to the table: nearly as many parameters as the GPT has, and
as many steps as take about the GPT's time of the processor, 1,988 s. AdamW, at a rate between the
best two of four (0.003, 0.006, 0.012, 0.024) that were tried for 150 steps. Bits per byte are over
all of validation and test."""


def lstm() -> Plan:
    """What the causal model is compared to, at equal time of training."""
    recipe = PretrainingRecipe("lstm", 352, 2, 1, 2850, 0.016, optimizer="AdamW", in_full=True)
    return _plan("pretraining_lstm", ABOUT_LSTM, (({"model": "lstm"}, recipe),))


SIZES = ((32, 2), (48, 2), (64, 3), (96, 4), (128, 5))  # numbers in a vector, and blocks
SIXTH = (192, 6)
RATES = (0.008, 0.016)
EPOCH = 602  # steps that read the training part once
ABOUT_SCALING = """\
GPTs that read the training part once. Bits per byte are over all of validation and test."""


def scaling() -> Plan:
    """Five sizes, to which a law is fitted; each at two rates, of which it gets the better."""
    return _sizes("pretraining_scaling", SIZES, RATES)


def sixth() -> Plan:
    """The sixth size, which was trained when the law had said what would come of it."""
    return _sizes("pretraining_sixth", (SIXTH,), RATES)


def _sizes(name: str, sizes: tuple[tuple[int, int], ...], rates: tuple[float, ...]) -> Plan:
    recipes = []
    for d_model, num_layers in sizes:
        for rate in rates:
            settings = {"d_model": d_model, "num_layers": num_layers, "rate": rate}
            heads = -(-d_model // 32)
            recipe = PretrainingRecipe(
                "gpt", d_model, num_layers, heads, EPOCH, rate, validations=6, in_full=True
            )
            recipes.append((settings, recipe))
    return _plan(name, ABOUT_SCALING, (*recipes,))


def _plan(name: str, about: str, recipes: tuple[tuple[dict[str, Any], Any], ...]) -> Plan:
    about = (ABOUT + about).replace("\n", " ")
    return Plan(name, about, recipes, SEEDS, keeps=KEEPS, task=task)
