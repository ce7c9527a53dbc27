"""The model, its loss, and the optimizers by name."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.optim import Optimizer

from underglass import losses, optimizers
from underglass.experiments.speeches_gpt.reading import SEQ, VOCAB_SIZE
from underglass.models.gpt import GPT, GPTConfig

CONFIG = GPTConfig(
    vocab_size=VOCAB_SIZE,
    max_len=SEQ,
    d_model=64,
    num_layers=2,
    num_heads=4,
    d_ff=256,
    dropout=0.0,  # a run of a few hundred steps sees no text twice
)


def model(seed: int) -> GPT:
    """The GPT with the initial weights of this seed, on the CPU: move it before you train it."""
    return GPT(CONFIG, generator=torch.Generator().manual_seed(seed))


def loss(model: nn.Module, windows: Int64[Tensor, "batch seq"]) -> Float[Tensor, ""]:
    """How much each next token surprises the model: nats, mean over all tokens of the batch."""
    return losses.cross_entropy(model(windows[:, :-1]), windows[:, 1:])


OPTIMIZERS: dict[str, tuple[Callable[..., Optimizer], dict[str, Any]]] = {
    "SGD": (optimizers.SGD, {}),
    "momentum": (optimizers.SGD, {"momentum": 0.9}),
    "Nesterov": (optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    "RMSProp": (optimizers.RMSProp, {}),
    "Adam": (optimizers.Adam, {}),
    "AdamW": (optimizers.AdamW, {}),
    "Lion": (optimizers.Lion, {}),
    # The scale that makes Muon's steps as large as AdamW's, so that one rate is for both.
    "Muon": (optimizers.Muon, {"adjust_lr_fn": "match_rms_adamw", "ns_dtype": "float32"}),
}


def optimizer(
    name: str, model: nn.Module, rate: float, **options: Any
) -> Optimizer | list[Optimizer]:
    """The optimizer of this name over all parameters, as `fit` takes it.

    Args:
        name: SGD, momentum, Nesterov, RMSProp, Adam, AdamW, Lion or Muon.
        rate: its learning rate.
        options: more arguments of its class, such as `weight_decay=0.1`; else the class's defaults.

    Returns:
        One optimizer; for Muon two: itself for the matrices inside the blocks, and AdamW, with the
        same rate and decay, for the tables of tokens and positions, the biases and the norms.

    Raises:
        ValueError: if there is no such name, or the rate or an option is out of its range.
        TypeError: if the optimizer has no such option.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"name={name!r}: expected one of {', '.join(OPTIMIZERS)}")
    make, own = OPTIMIZERS[name]
    if name != "Muon":
        return make(model.parameters(), lr=rate, **own | options)
    matrices = [p for n, p in model.named_parameters() if n.startswith("blocks.") and p.ndim == 2]
    inside = {*matrices}
    others = [param for param in model.parameters() if param not in inside]
    muon = make(matrices, lr=rate, **own | options)
    decay = muon.param_groups[0]["weight_decay"]
    return [muon, optimizers.AdamW(others, lr=rate, weight_decay=decay)]
