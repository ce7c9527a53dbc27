"""The experiments that are recorded: which recipes, under which seeds."""

from dataclasses import replace

from underglass.experiments import architectures_plans, pretraining_plans
from underglass.experiments.fine_tuning_plans import cures, grid, layers, methods, search
from underglass.experiments.plan import Plan
from underglass.experiments.recipe import Recipe

# Two rates a decade, from one that hardly moves to one at which nothing is learned. Where these lie
# differs by factors of hundreds between optimizers.
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
options at their defaults. (Muon trains the matrices of the blocks, on the scale that suits AdamW's
rates; AdamW the rest, at the same rate and decay.) Batches of 8 windows, 300 steps, a constant rate
after a warm-up of 20, no clipping, so that a run may diverge. The loss of each step and the
validation loss at every 50th are rounded to 5 significant digits."""


def optimizer_rates() -> Plan:
    """Which rate suits which optimizer, and how wide the choice is."""
    recipes = tuple(
        ({"optimizer": name, "rate": rate}, Recipe(name, rate, steps=300))
        for name, rates in RATES.items()
        for rate in rates
    )
    return Plan("optimizer_rates", ABOUT_RATES.replace("\n", " "), recipes, seeds=(0, 1, 2))


# The rate of each optimizer in `optimizer_effects`: the best of a few, tried on seed 100.
OWN_RATE = {"AdamW": 0.002, "momentum": 0.2, "Lion": 0.0003, "Muon": 0.01}
TIMES = 4  # so much higher is the rate at which warm-up and clipping are tried once more
ABOUT_EFFECTS = """\
The small GPT on the speeches, trained as usual (the baseline: AdamW with a decay of 0.1, batches of
8 windows, 400 steps, a warm-up of 40, then a cosine down to 0, gradients clipped to 1), and with
one thing changed at a time; some changes also at 4 times the rate. Another optimizer has its own
rate, the best of a few on another seed; momentum is without decay. L2 instead of decay is Adam with
weight_decay=0.1. Batches of 2 and 32 keep the rate. Loss and validation loss are rounded to 5
significant digits, the gradient's norm (before clipping) to 3."""


def optimizer_effects() -> Plan:
    """What each part of the usual recipe does, on seeds that had no say in its rate."""
    rate = OWN_RATE["AdamW"]
    baseline = Recipe(
        "AdamW",
        rate,
        steps=400,
        options={"weight_decay": 0.1},
        schedule="cosine",
        warmup_steps=40,
        max_norm=1.0,
        validate_every=100,
    )
    unlike = {
        "baseline": {},
        "no warm-up": {"warmup_steps": 0},
        "no clipping": {"max_norm": None},
        "no bias correction": {"options": {"weight_decay": 0.1, "bias_correction": False}},
    }
    high = {change: own | {"rate": rate * TIMES} for change, own in unlike.items()}
    unlike |= {
        "no decay of the rate": {"schedule": "constant"},
        "no weight decay": {"options": {"weight_decay": 0.0}},
        "L2 instead of decay": {"optimizer": "Adam"},
        "momentum": {"optimizer": "momentum", "rate": OWN_RATE["momentum"], "options": {}},
        "Lion": {"optimizer": "Lion", "rate": OWN_RATE["Lion"]},
        "Muon": {"optimizer": "Muon", "rate": OWN_RATE["Muon"]},
        "batches of 2": {"rows": 2},
        "batches of 2, as many tokens": {"rows": 2} | _length(1600),
        "batches of 32": {"rows": 32},
        "batches of 32, as many tokens": {"rows": 32} | _length(100),
    }
    pairs = [(1, change, own) for change, own in unlike.items()]
    pairs += [(TIMES, change, own) for change, own in high.items()]
    recipes = [(times, change, replace(baseline, **own)) for times, change, own in pairs]
    return Plan(
        "optimizer_effects",
        ABOUT_EFFECTS.replace("\n", " "),
        tuple(({"change": c, "times": t, "rate": r.rate}, r) for t, c, r in recipes),
        seeds=(10, 11, 12, 13, 14),
        keeps=("loss", "gradient_norm", "validation_loss"),
    )


def _length(steps: int) -> dict[str, int]:
    """A run of so many steps, with warm-up and validations at the same places of it."""
    return {"steps": steps, "warmup_steps": steps // 10, "validate_every": steps // 4}


PLANS = {
    plan.name: plan
    for plan in (
        optimizer_rates(),
        optimizer_effects(),
        search(),
        methods(),
        layers(),
        grid(),
        cures(),
        pretraining_plans.gpt(),
        pretraining_plans.bert(),
        pretraining_plans.start(),
        pretraining_plans.lstm(),
        pretraining_plans.scaling(),
        pretraining_plans.sixth(),
        architectures_plans.chain(),
        architectures_plans.depth(),
    )
}
