"""Every layer and head of a model's attention, one of them enlarged, one token followed.

Roll-out: Abnar and Zuidema (2020), "Quantifying Attention Flow in Transformers", section 3.
Chapter: chapters/04_attention.ipynb
"""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from traitlets import Bytes, Dict, Enum, Int, List, TraitError, observe, validate

from underglass.widgets.frame import Widget

Weights: TypeAlias = Tensor | np.ndarray | Sequence

MODES = ("head", "layer", "all", "rollout")
ROUNDING = 1e-2  # a softmax in bfloat16 can return 1.004; more than 1% above 1 is a mistake


class Refused(TraitError, ValueError):
    """A value that a trait cannot take; traitlets puts the old value back."""


class AttentionView(Widget):
    """All heads as a grid of pictures, one enlarged as a matrix and as lines between tokens.

    Set from Python, or joined to other widgets with `observe` and `jslink`:

        layer, head: what is enlarged, counted from 0
        mode: "head" (that head), "layer" (mean over the heads of that layer),
            "all" (mean over all layers and heads), "rollout" (roll-out up to that layer)
        token: the position whose weights are shown in numbers, or None
        side: "from" follows a query (where it looks), "to" a key (who looks at it)

    Args:
        weights: attention weights, each in [0, 1]: [layer head q k], [layer 1 head q k], the
            tuple that BERT returns (one [1 head q k] per layer), one layer [head q k], or one
            head [q k]. Kept in steps of 1/65535.
        tokens: the text of each query position.
        key_tokens: the text of each key position, for cross-attention; else the same as tokens.
        other: (weights, tokens) of a second sentence to put beside the first, with as many
            layers and heads; (weights, tokens, key_tokens) for cross-attention.

    Raises:
        ValueError: if weights, tokens and the choice of what to show do not fit together, or a
            weight is not finite or outside [0, 1].
        TypeError: if weights are not numbers or tokens not strings.
    """

    files = "attention_view"
    before = ("attention_drawing",)

    layer = Int(0).tag(sync=True)
    head = Int(0).tag(sync=True)
    mode = Enum(MODES, default_value="head").tag(sync=True)
    token = Int(None, allow_none=True).tag(sync=True)
    side = Enum(("from", "to"), default_value="from").tag(sync=True)
    _weights = Bytes().tag(sync=True)
    _other_weights = Bytes().tag(sync=True)
    _sentences = List(Dict()).tag(sync=True)

    def __init__(
        self,
        weights: Weights,
        tokens: Sequence,
        *,
        key_tokens: Sequence | None = None,
        other: Sequence | None = None,
        layer: int = 0,
        head: int = 0,
        token: int | None = None,
        mode: str = "head",
        side: str = "from",
    ) -> None:
        sentences = [read_sentence("", weights, tokens, key_tokens)]
        if other is not None:
            sentences.append(_second_sentence(other, sentences[0]))
        described = [sentence.described() for sentence in sentences]
        _check_choice("layer", layer, described)
        _check_choice("head", head, described)
        _check_mode(mode, described)
        _check_token(token, side, described)
        packed = [sentence.packed() for sentence in sentences]
        super().__init__(
            _sentences=described,
            _weights=packed[0],
            _other_weights=packed[1] if other is not None else b"",
            layer=int(layer),
            head=int(head),
            token=None if token is None else int(token),
            mode=mode,
            side=side,
        )

    def _summary(self) -> str:
        layers, heads, *_ = self._sentences[0]["shape"]
        sizes = [s["shape"][2:] for s in self._sentences]
        cross = self._sentences[0]["key_tokens"] is not None
        lengths = " and ".join(f"{q} x {k}" if cross else f"{q}" for q, k in sizes)
        one = lengths == "1"
        return f"{_count(layers, 'layer')}, {_count(heads, 'head')}, {lengths} token{'s'[one:]}"

    @validate("layer", "head")
    def _valid_choice(self, proposal: dict) -> int:
        _check_choice(proposal["trait"].name, proposal["value"], self._sentences)
        return proposal["value"]

    @validate("mode")
    def _valid_mode(self, proposal: dict) -> str:
        _check_mode(proposal["value"], self._sentences)
        return proposal["value"]

    @validate("token")
    def _valid_token(self, proposal: dict) -> int | None:
        _check_token(proposal["value"], self.side, self._sentences)
        return proposal["value"]

    @observe("side")
    def _forget_token_beyond(self, _: dict) -> None:
        """The other side may be shorter: then no token is followed, rather than one of no row."""
        if self.token is not None and self.token >= _length(self.side, self._sentences):
            self.token = None


@dataclass(frozen=True)
class Sentence:
    """Attention within one sentence, as the widgets that draw it carry it."""

    weights: Tensor  # [layer head q k]
    tokens: list[str]
    key_tokens: list[str] | None

    def described(self) -> dict:
        shape = list(self.weights.shape)
        return {"shape": shape, "tokens": self.tokens, "key_tokens": self.key_tokens}

    def packed(self) -> bytes:
        """Each weight as a 16-bit fraction: a quarter of JSON's size, exact to 0.00001."""
        fixed = (self.weights.double().clamp(0, 1) * 65535).round()
        return fixed.numpy().astype("<u2").tobytes()


def read_sentence(
    name: str, weights: Weights, tokens: Sequence, key_tokens: Sequence | None
) -> Sentence:
    """Weights and tokens that fit together; `name` says in errors whose they are."""
    tokens = _checked_tokens(f"{name}tokens", tokens)
    if key_tokens is not None:
        key_tokens = _checked_tokens(f"{name}key_tokens", key_tokens)
    table = _four_axes(f"{name}weights", _tensor(f"{name}weights", weights))
    _check_lengths(name, tuple(table.shape), tokens, key_tokens)
    _check_values(f"{name}weights", table)
    return Sentence(table, tokens, key_tokens)


def _second_sentence(other: Sequence, first: Sentence) -> Sentence:
    expected = 2 if first.key_tokens is None else 3
    names = "(weights, tokens)" if expected == 2 else "(weights, tokens, key_tokens)"
    if not isinstance(other, list | tuple) or len(other) != expected:
        size = f" of {len(other)}" if isinstance(other, list | tuple) else ""
        raise ValueError(f"other is a {type(other).__name__}{size}; expected {names}")
    second = read_sentence("other's ", other[0], other[1], other[2] if expected == 3 else None)
    if second.weights.shape[:2] != first.weights.shape[:2]:
        theirs, ours = (
            " and ".join((_count(s.weights.shape[0], "layer"), _count(s.weights.shape[1], "head")))
            for s in (second, first)
        )
        raise ValueError(f"other has {theirs}; expected {ours}, as the first sentence")
    return second


def _checked_tokens(name: str, tokens: Sequence) -> list[str]:
    if isinstance(tokens, str):
        raise TypeError(f"{name}={tokens!r} is one string; expected a list of strings")
    for position, token in enumerate(tokens):
        if not isinstance(token, str):
            raise TypeError(f"{name}[{position}]={token!r} is not a string")
    if not len(tokens):
        raise ValueError(f"{name} is empty; expected at least one token")
    return [str(token) for token in tokens]


def _tensor(name: str, weights: Weights) -> Tensor:
    """Any of the accepted kinds as one real tensor on the CPU."""
    if isinstance(weights, list | tuple) and any(_is_array(part) for part in weights):
        parts = [_tensor(f"{name}[{i}]", part) for i, part in enumerate(weights)]
        shapes = [tuple(part.shape) for part in parts]
        if len(set(shapes)) > 1:
            raise ValueError(f"{name} holds tensors of shapes {shapes}; expected one shape")
        return torch.stack(parts)
    try:
        tensor = torch.as_tensor(weights)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = type(weights).__name__
        raise TypeError(f"{name} is a {kind} that holds no table of numbers ({error})") from error
    if tensor.is_complex():
        raise TypeError(f"{name} has dtype {tensor.dtype}; expected real numbers")
    if tensor.is_meta:
        raise ValueError(f"{name} is on the meta device; expected a tensor with values")
    return tensor.detach().to("cpu", torch.float32)


def _is_array(value: object) -> bool:
    return isinstance(value, Tensor | np.ndarray) and value.ndim > 0


def _four_axes(name: str, weights: Tensor) -> Tensor:
    shape = tuple(weights.shape)
    if not 2 <= len(shape) <= 5:
        raise ValueError(
            f"{name} has shape {shape}; expected [layer head q k], [layer 1 head q k], "
            "[head q k] or [q k]"
        )
    if 0 in shape:
        raise ValueError(f"{name} has shape {shape}, which is empty; expected every size above 0")
    if len(shape) == 5:
        if shape[1] != 1:
            raise ValueError(
                f"{name} has shape {shape}, a batch of {shape[1]}; expected one sentence, "
                "[layer 1 head q k]"
            )
        weights = weights.squeeze(1)
    return weights[(None,) * (4 - weights.ndim)]


def _check_lengths(
    name: str, shape: tuple[int, ...], tokens: list[str], key_tokens: list[str] | None
) -> None:
    *_, queries, keys = shape
    of = f"{name}weights is {queries} x {keys} (queries x keys)"
    if len(tokens) != queries:
        raise ValueError(f"{name}tokens has length {len(tokens)} but {of}; expected {queries}")
    if key_tokens is None and keys != queries:
        raise ValueError(f"{of} and {name}key_tokens is missing; expected {keys} key_tokens")
    if key_tokens is not None and len(key_tokens) != keys:
        raise ValueError(f"{name}key_tokens has length {len(key_tokens)} but {of}; expected {keys}")


def _check_values(name: str, weights: Tensor) -> None:
    for what, wrong in (
        ("finite numbers", ~weights.isfinite()),
        ("weights in [0, 1], as after the softmax", (weights < 0) | (weights > 1 + ROUNDING)),
    ):
        if wrong.any():
            layer, head, query, key = wrong.nonzero()[0].tolist()
            raise ValueError(
                f"{name} is {weights[layer, head, query, key].item():g} at layer {layer}, "
                f"head {head}, query {query}, key {key}; expected {what}"
            )


def _check_choice(name: str, value: int, sentences: list) -> None:
    size = sentences[0]["shape"][0 if name == "layer" else 1]
    _check_index(name, value, size, "")


def _check_token(token: int | None, side: str, sentences: list) -> None:
    if side not in ("from", "to"):
        raise Refused(f"side={side!r} is unknown; expected 'from' or 'to'")
    if token is not None:
        _check_index("token", token, _length(side, sentences), "None or ")


def _check_index(name: str, value: int, size: int, also: str) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or not 0 <= value < size:
        numbers = f"0 to {size - 1}" if size > 1 else "0"
        raise Refused(f"{name}={value!r} is out of range; expected {also}{numbers}")


def _check_mode(mode: str, sentences: list) -> None:
    if mode not in MODES:
        raise Refused(f"mode={mode!r} is unknown; expected one of {', '.join(MODES)}")
    if mode == "rollout" and sentences[0]["key_tokens"] is not None:
        raise Refused("mode='rollout' needs self-attention; expected no key_tokens")


def _length(side: str, sentences: list) -> int:
    """Tokens on that side of the longer sentence; both are followed at the same position."""
    return max(s["shape"][2 if side == "from" else 3] for s in sentences)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
