"""Weights of recorded runs that come with the library: an adapter, and what changed in matrices."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from underglass.experiments.film_sentiment import methods
from underglass.experiments.film_sentiment.methods import Classifier
from underglass.finetuning import lora

FOLDER = Path(__file__).parent.parent / "recordings" / "fine_tuning_methods"
# Matrices whose change by full fine-tuning is kept: what an attention looks for, and what it takes.
MATRICES = ("bert.blocks.5.attention.q_proj.weight", "bert.blocks.5.attention.v_proj.weight")
UPDATES = "updates.safetensors"


def keep(classifier: Classifier, method: str, folder: Path) -> None:
    """Write LoRA's adapter, or what full fine-tuning changed in two matrices; else nothing."""
    if method == "lora":
        lora.save(classifier, folder)
    if method == "full":
        folder.mkdir(parents=True, exist_ok=True)
        save_file(_changes(classifier), folder / UPDATES)


def _changes(classifier: Classifier) -> dict[str, Tensor]:
    """In float16, whose 11 bits are more than any picture of them shows."""
    before = methods.model("full", 0)
    with torch.no_grad():
        return {
            name: (classifier.get_parameter(name).cpu() - before.get_parameter(name)).half()
            for name in MATRICES
        }


def adapter() -> Path:
    """The folder of the adapter that the recorded LoRA run under seed 0 learned, for `lora.load`.

    model = film_sentiment.model("head", seed=0)
    lora.load(model, film_sentiment.adapter())
    """
    return FOLDER / "lora_0"


def updates() -> dict[str, tuple[Tensor, Tensor]]:
    """Name -> (W, change) of two matrices, [384 384], in the recorded full fine-tuning, seed 0."""
    before = methods.model("full", 0)
    found = load_file(FOLDER / "full_0" / UPDATES)
    return {name: (before.get_parameter(name).detach(), own.float()) for name, own in found.items()}
