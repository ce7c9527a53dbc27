"""Every component computes what it teaches: its readable path needs nothing ready-made.

First the ready-made version, or our own fast path, gives the expected numbers. Then all that is
ready-made is taken away, and the readable path must give the same.
"""

import importlib
from dataclasses import is_dataclass
from typing import Any

import pytest
from docstrings import Name
from readable_cases import CASES
from ready_made import READY_MADE, ReadyMadeError, take_away
from test_api import COMPONENT_MODULES, LIBRARY
from torch import Tensor
from torch.testing import assert_close

FAST = [case for case in CASES if case.ready]
# It reads, writes and builds what the others compute with.
ELSEWHERE = {"pretrained"}


def same(found: Any, expected: Any) -> None:
    """Tensors nearly so, and all else exactly."""
    if isinstance(expected, Tensor):
        assert_close(found, expected)
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    else:
        assert found == expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_readable_path_needs_nothing_ready_made(case, monkeypatch):
    expected = (case.ready or case.readable)()
    take_away(monkeypatch)
    same(case.readable(), expected)


@pytest.mark.parametrize("case", FAST, ids=lambda case: case.name)
def test_ready_made_is_taken_away(case, monkeypatch):
    take_away(monkeypatch)
    with pytest.raises((ReadyMadeError, ImportError)):
        case.ready()


@pytest.mark.parametrize(
    "names",
    [
        "F.scaled_dot_product_attention F.multi_head_attention_forward MultiheadAttention.forward",
        "Transformer.forward TransformerEncoderLayer.forward TransformerDecoder.forward",
        "F.rms_norm RMSNorm.forward LSTM.forward LSTMCell.forward GRU.forward torch.lstm",
        "F.cross_entropy F.kl_div F.nll_loss F.binary_cross_entropy CrossEntropyLoss.forward",
        "F.binary_cross_entropy_with_logits KLDivLoss.forward BCEWithLogitsLoss.forward",
        "AdamW.step adamw.adamw adam.adam SGD.step sgd.sgd RMSprop.step rmsprop.rmsprop",
        "torch._foreach_add_ torch._fused_adamw_ foreach.lerp_",
        "CosineAnnealingLR.get_lr LinearLR.get_lr OneCycleLR.get_lr",
    ],
)
def test_the_list_of_what_is_ready_made(names):
    """It is read off torch: these must be in it."""
    assert [name for name in names.split() if name not in READY_MADE] == []
    assert "LambdaLR.get_lr" not in READY_MADE


def computes(name: Name) -> bool:
    """Not so configs, those of known sizes, tuples with names for their parts, and a check."""
    if name.kind == "data" or name.name == "check_activation":
        return False
    found = getattr(importlib.import_module(f"underglass.{name.module}"), name.name)
    if isinstance(found, type):
        return not (is_dataclass(found) or issubclass(found, tuple))
    return not is_dataclass(found.__annotations__.get("return"))


def test_every_component_has_a_case():
    """A new one is entered in readable_cases.py, with what is ready-made of it, if anything is."""
    names = [name for module in COMPONENT_MODULES for name in LIBRARY.shown(module)]
    wanted = {f"{n.module}.{n.name}" for n in names if n.module not in ELSEWHERE and computes(n)}
    have = {case.name for case in CASES}
    assert len(wanted) > 40
    assert sorted(wanted - have) == []
    assert sorted(have - wanted) == []
