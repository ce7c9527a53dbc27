"""What all runs of the small decoders have in common, as a recording says it."""

from typing import Any

from underglass.experiments import recipe
from underglass.experiments.architectures.recipe import DECAY, MAX_NORM


def task() -> dict[str, Any]:
    """The texts are those of `speeches_gpt`, chapter 07's small task."""
    texts = recipe.task()
    del texts["model"]
    return {"kind": "architectures"} | texts | {"max_norm": MAX_NORM, "weight_decay": DECAY}
