"""What torch and others have ready-made of what the course teaches, and how to take it away."""

import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.loss import _Loss
from torch.optim import Optimizer, lr_scheduler
from underglass.optimizers import foreach

FUNCTIONS: list[tuple[str, Any, str]] = [
    ("F", F, "scaled_dot_product_attention multi_head_attention_forward rms_norm cross_entropy"),
    ("F", F, "nll_loss kl_div binary_cross_entropy binary_cross_entropy_with_logits normalize"),
    ("F", F, "log_softmax cosine_similarity cosine_embedding_loss triplet_margin_loss"),
    ("torch", torch, "rms_norm lstm lstm_cell gru gru_cell rnn_tanh rnn_relu kl_div"),
    ("torch", torch, "logsumexp log_softmax cosine_similarity binary_cross_entropy_with_logits"),
    ("torch._VF", torch._VF, "lstm lstm_cell gru gru_cell rnn_tanh rnn_relu"),
    ("Tensor", torch.Tensor, "logsumexp log_softmax"),
]
RECURRENT = (nn.RNNBase, nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell)
# Packages that are ready-made tokenizers.
PACKAGES = ("tokenizers", "tokenizers.trainers", "tiktoken")


class ReadyMadeError(AssertionError):
    """Something ready-made was called."""


def kinds_of(base: type, module: Any) -> list[type]:
    found = [found for _, found in inspect.getmembers(module, inspect.isclass)]
    return [kind for kind in found if issubclass(kind, base) and kind is not base]


def _everything() -> Iterator[tuple[str, Any, str]]:
    """A label, the owner of each ready-made function, and its name there."""
    for label, owner, names in FUNCTIONS:
        yield from ((f"{label}.{name}", owner, name) for name in names.split())
    transformer = [kind for kind in kinds_of(nn.Module, nn) if kind.__name__.startswith("Transfor")]
    for layer in (
        nn.MultiheadAttention,
        nn.RMSNorm,
        *RECURRENT,
        *transformer,
        *kinds_of(_Loss, nn),
    ):
        yield f"{layer.__name__}.forward", layer, "forward"
    for kind in kinds_of(Optimizer, torch.optim):
        yield f"{kind.__name__}.step", kind, "step"
        module, function = sys.modules[kind.__module__], kind.__name__.lower()
        if hasattr(module, function):
            yield f"{function}.{function}", module, function
    for schedule in kinds_of(lr_scheduler.LRScheduler, lr_scheduler):
        if schedule is not lr_scheduler.LambdaLR:  # which only multiplies by what it is given
            yield f"{schedule.__name__}.get_lr", schedule, "get_lr"
    # The kernels for many tensors at once, and where our own fast forms keep them.
    many = [name for name in dir(torch) if name.startswith(("_foreach_", "_fused_"))]
    yield from ((f"torch.{name}", torch, name) for name in many)
    ours = [name for name, value in vars(foreach).items() if inspect.isbuiltin(value)]
    yield from ((f"foreach.{name}", foreach, name) for name in ours)


READY_MADE = {label: (owner, name) for label, owner, name in _everything()}


def take_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes all of it raise, for the rest of the test."""
    for label, (owner, name) in READY_MADE.items():
        monkeypatch.setattr(owner, name, _raising(label))
    for package in PACKAGES:
        monkeypatch.setitem(sys.modules, package, None)


def _raising(label: str) -> Callable[..., Any]:
    def forbidden(*_: Any, **__: Any) -> Any:
        raise ReadyMadeError(f"{label} is ready-made")

    return forbidden
