"""The recorded runs of chapter 05: one choice after another, and norms in deep models."""

from typing import Any

from underglass.experiments.architectures.recipe import ArchitectureRecipe
from underglass.experiments.architectures.task import task
from underglass.experiments.plan import Plan

# From the decoder of 2017 to today's: each name says what is changed, and stays so.
CHAIN: dict[str, dict[str, Any]] = {
    "2017": {},
    "learned positions": {"positions": "learned"},
    "GELU": {"feed_forward": "gelu"},  # so far: the parts of BERT and of the first GPT
    "norms before": {"norms": "before"},  # so far: GPT-2's
    "rotary positions": {"positions": "rotary"},
    "RMSNorm": {"norm": "rms"},
    "SwiGLU": {"feed_forward": "swiglu"},
    "no biases": {"biases": False},  # so far: the first Llama's, but for the output
    "grouped queries": {"num_kv_heads": 2},
    "untied output": {"tied": False},
}
ABOUT_CHAIN = """\
Decoders of four layers, 64 wide, on the small task of chapter 07: the speeches from 1961 on, in
tokens of a vocabulary of 512. From the decoder of 2017 to today's in steps: each run has all
changes up to the one that it is named after. 400 steps of AdamW (decay 0.1) on batches of 16
windows of 64 tokens, a warm-up of 40, then a cosine down to 0, gradients clipped to 1; two rates.
Losses are rounded to 5 significant digits."""


def chain() -> Plan:
    """What each change is worth, at equal steps and nearly equal operations."""
    recipes, design = [], dict[str, Any]()
    for change, own in CHAIN.items():
        design |= own
        for rate in (0.003, 0.01):
            recipe = ArchitectureRecipe(rate, 400, dict(design))
            recipes.append(({"change": change, "rate": rate}, recipe))
    return _plan("architectures", ABOUT_CHAIN, recipes, seeds=(0, 1, 2))


LAYERS = (2, 6, 18)
ABOUT_DEPTH = """\
The decoder with learned positions and GELU, 64 wide, of 2, 6 and 18 layers, with norms before and
after what they belong to, with a warm-up of 25 steps and without: 250 steps of AdamW at 0.003
(decay 0.1) on batches of 16 windows of 64 tokens, a cosine down to 0, gradients clipped to 1.
Losses are rounded to 5 significant digits, the gradient's norm (before clipping) to 3."""


def depth() -> Plan:
    """Which place of the norms survives depth, and what the warm-up has to do with it."""
    recipes = []
    for layers in LAYERS:
        for norms in ("before", "after"):
            for warmup in (True, False):
                design = {
                    "positions": "learned",
                    "feed_forward": "gelu",
                    "norms": norms,
                    "num_layers": layers,
                }
                recipe = ArchitectureRecipe(0.003, 250, design, warmup=0.1 if warmup else 0.0)
                settings = {"norms": norms, "layers": layers, "warmup": warmup}
                recipes.append((settings, recipe))
    return _plan(
        "depth",
        ABOUT_DEPTH,
        recipes,
        seeds=(0, 1),
        keeps=("loss", "gradient_norm", "validation_loss"),
    )


def _plan(
    name: str,
    about: str,
    recipes: list[tuple[dict[str, Any], Any]],
    seeds: tuple[int, ...],
    keeps: tuple[str, ...] = ("loss", "validation_loss"),
) -> Plan:
    return Plan(name, about.replace("\n", " "), (*recipes,), seeds, keeps=keeps, task=task)
