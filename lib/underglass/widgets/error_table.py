"""What `ErrorBrowser` shows, read from plain data and packed for the page.

Chapter: chapters/09_fine_tuning.ipynb
"""

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from underglass.widgets.attention_view import Sentence, read_sentence

NEEDED = ("text", "label", "probability")
OPTIONAL = ("slices", "note")


def read_predictions(predictions: Any) -> dict[str, Any]:
    """The traits of the page that hold the predictions, in the order given.

    Labels are bytes, probabilities float64, and each slice is a name with its members' places.
    """
    _check_list("predictions", predictions, "of mappings")
    if not len(predictions):
        raise ValueError("predictions is empty, expected at least one")
    rows = [_row(f"predictions[{i}]", one) for i, one in enumerate(predictions)]
    return {
        "_texts": [row["text"] for row in rows],
        "_labels": bytes(row["label"] for row in rows),
        "_probabilities": np.array([row["probability"] for row in rows], "<f8").tobytes(),
        "_slices": _members([row["slices"] for row in rows]),
        "_notes": {str(i): row["note"] for i, row in enumerate(rows) if row["note"]},
    }


def _row(name: str, one: Any) -> dict[str, Any]:
    """One prediction with all its fields, checked."""
    if not isinstance(one, Mapping):
        raise TypeError(f"{name} is a {type(one).__name__}, expected a mapping")
    for key in NEEDED:
        if key not in one:
            raise ValueError(f"{name} has no {key!r}, expected {', '.join(NEEDED)}")
    if unknown := [key for key in one if key not in NEEDED + OPTIONAL]:
        raise ValueError(f"{name} has {unknown[0]!r}, expected only {', '.join(NEEDED + OPTIONAL)}")
    text, label, probability = (one[key] for key in NEEDED)
    slices, note = one.get("slices") or [], one.get("note") or ""
    for key, value in (("text", text), ("note", note)):
        if not isinstance(value, str):
            raise TypeError(f"{name}[{key!r}]={value!r}, expected a string")
    if isinstance(label, bool) or not isinstance(label, Integral) or label not in (0, 1):
        raise ValueError(f"{name}['label']={label!r}, expected 0 or 1")
    return {
        "text": text,
        "label": int(label),
        "probability": _probability(f"{name}['probability']", probability),
        "slices": check_names(f"{name}['slices']", slices),
        "note": note,
    }


def _probability(name: str, given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, Real):
        raise TypeError(f"{name}={given!r}, expected a number from 0 to 1")
    if not 0 <= (number := float(given)) <= 1:  # false for NaN too
        raise ValueError(f"{name}={given}, expected 0 to 1")
    return number


def _members(slices: list[list[str]]) -> list[dict[str, Any]]:
    """Each slice with the places of its sentences, in the order in which slices first appear."""
    found: dict[str, list[int]] = {}
    for i, names in enumerate(slices):
        for name in names:
            found.setdefault(name, []).append(i)
    return [{"name": name, "members": members} for name, members in found.items()]


def check_names(argument: str, names: Any) -> list[str]:
    """Names as a list: strings that are not empty, each once."""
    _check_list(argument, names, "of names")
    for i, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"{argument}[{i}]={name!r}, expected a name")
    if len(set(names)) < len(names):
        raise ValueError(f"{argument}={list(names)}, expected each name once")
    return list(names)


def _check_list(name: str, given: Any, of: str) -> None:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise TypeError(f"{name} is a {type(given).__name__}, expected a list {of}")


def read_attention(attention: Any, count: int) -> dict[str, Any]:
    """The traits that hold the attention of some of `count` sentences, before and after."""
    if not isinstance(attention, Mapping):
        raise TypeError(f"attention is a {type(attention).__name__}, expected a dict by index")
    attended, weights = [], b""
    for at, given in attention.items():
        pair = _pair(at, given, count)
        shape, tokens = list(pair[0].weights.shape), pair[0].tokens
        attended.append({"at": int(at), "shape": shape, "tokens": tokens, "start": len(weights)})
        weights += b"".join(map(_packed, pair))
    return {"_attended": attended, "_attention": weights}


def _pair(index: Any, given: Any, count: int) -> list[Sentence]:
    """One sentence's attention, before and after."""
    if isinstance(index, bool) or not isinstance(index, Integral) or not 0 <= int(index) < count:
        raise ValueError(f"attention names {index!r}, expected an index from 0 to {count - 1}")
    if not isinstance(given, list | tuple) or len(given) != 3:
        raise TypeError(f"attention[{index}] is no (tokens, before, after)")
    tokens, *both = given
    read = [
        read_sentence(f"attention[{index}], {when}: ", weights, tokens, None)
        for when, weights in zip(("before", "after"), both, strict=True)
    ]
    shapes = [list(one.weights.shape) for one in read]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"attention[{index}]: before is {shapes[0]} and after {shapes[1]}, expected one shape"
        )
    return read


def _packed(sentence: Sentence) -> bytes:
    """Each weight as a byte, its square root in steps of 1/255: finer where weights are small.

    A weight is off by at most 0.004 (at 1), and by less than 0.001 below 0.06.
    """
    roots = sentence.weights.double().clamp(0, 1).sqrt()
    return (roots * 255).round().numpy().astype("u1").tobytes()
