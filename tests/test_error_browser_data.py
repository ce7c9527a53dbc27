"""What an error browser carries to its page, and what it refuses."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from refusals import refused
from underglass.widgets import ErrorBrowser
from underglass.widgets.error_table import read_attention

GOOD = {"text": "Not bad.", "label": 1, "probability": 0.25}
TOKENS = ["[CLS]", "not", "[SEP]"]
WEIGHTS = torch.randn(2, 5, 3, 3, generator=torch.Generator().manual_seed(0)).softmax(-1)


def test_repr():
    assert repr(ErrorBrowser([GOOD])) == "ErrorBrowser(1 sentence)"
    one = GOOD | {"slices": ["negation"]}
    browser = ErrorBrowser([one, GOOD], attention={1: (TOKENS, WEIGHTS, WEIGHTS)})
    assert repr(browser) == "ErrorBrowser(2 sentences, 1 slice, attention of 1)"


def test_predictions_are_carried_in_their_order():
    given = [
        GOOD | {"slices": ["b", "a"], "note": "rated 1.2"},
        {"text": "", "label": np.int64(0), "probability": np.float32(0.1)},
        {"text": "<b>", "label": 0, "probability": 1, "slices": ("a",)},
    ]
    browser = ErrorBrowser(given)
    assert browser._texts == ["Not bad.", "", "<b>"]
    assert list(browser._labels) == [1, 0, 0]
    assert np.frombuffer(browser._probabilities).tolist() == [0.25, float(np.float32(0.1)), 1.0]
    members = [{"name": "b", "members": [0]}, {"name": "a", "members": [0, 2]}]
    assert browser._slices == members
    assert browser._notes == {"0": "rated 1.2"}
    assert browser.group == "slice"
    assert ErrorBrowser([GOOD]).group == "confidence"  # where there is no slice


def test_attention_is_within_what_its_docstring_says():
    shares = torch.linspace(0, 1, 5001).double()
    line = torch.stack([shares, 1 - shares], dim=-1)[:, None].expand(-1, 2, 2)  # [head q k]
    carried = read_attention({7: (["a", "b"], line, line)}, 9)
    shape, tokens = [1, 5001, 2, 2], ["a", "b"]
    assert carried["_attended"] == [{"at": 7, "shape": shape, "tokens": tokens, "start": 0}]
    bytes_ = np.frombuffer(carried["_attention"], "u1").reshape(2, 5001, 2, 2)
    np.testing.assert_array_equal(bytes_[0], bytes_[1])
    off = np.abs((bytes_[0] / 255.0) ** 2 - line.numpy())
    assert off.max() <= 0.004
    assert off[line.numpy() < 0.06].max() < 0.001


@pytest.mark.parametrize("kind", ["tensor", "batched", "tuple of bert", "one layer", "one head"])
def test_attention_of_any_kind(kind):
    weights: Any = {
        "tensor": WEIGHTS,
        "batched": WEIGHTS[:, None],
        "tuple of bert": tuple(layer[None] for layer in WEIGHTS),
        "one layer": WEIGHTS[1],
        "one head": WEIGHTS[1, 2].numpy(),
    }[kind]
    shape = {"one layer": [1, 5, 3, 3], "one head": [1, 1, 3, 3]}.get(kind, [2, 5, 3, 3])
    browser = ErrorBrowser([GOOD], attention={0: (TOKENS, weights, weights)})
    assert browser._attended == [{"at": 0, "shape": shape, "tokens": TOKENS, "start": 0}]
    assert len(browser._attention) == 2 * math.prod(shape)


@pytest.mark.parametrize(
    ("error", "predictions", "message"),
    [
        (TypeError, "abc", "predictions is a str, expected a list of mappings"),
        (TypeError, {"text": "a"}, "predictions is a dict, expected a list of mappings"),
        (ValueError, [], "predictions is empty, expected at least one"),
        (TypeError, [GOOD, 3], r"predictions\[1\] is a int, expected a mapping"),
        (ValueError, [{"text": "a", "label": 0}], r"\[0\] has no 'probability', expected text, la"),
        (ValueError, [GOOD | {"slice": []}], r"\[0\] has 'slice', expected only text, .*slices, n"),
        (TypeError, [GOOD | {"text": 3}], r"predictions\[0\]\['text'\]=3, expected a string"),
        (TypeError, [GOOD | {"note": 3}], r"predictions\[0\]\['note'\]=3, expected a string"),
        (ValueError, [GOOD | {"label": 2}], r"predictions\[0\]\['label'\]=2, expected 0 or 1"),
        (ValueError, [GOOD | {"label": True}], r"\['label'\]=True, expected 0 or 1"),
        (ValueError, [GOOD | {"label": 1.0}], r"\['label'\]=1.0, expected 0 or 1"),
        (ValueError, [GOOD | {"probability": 1.1}], r"\['probability'\]=1.1, expected 0 to 1"),
        (ValueError, [GOOD | {"probability": math.nan}], r"\['probability'\]=nan, expected 0 to 1"),
        (TypeError, [GOOD | {"probability": "1"}], r"='1', expected a number from 0 to 1"),
        (TypeError, [GOOD | {"slices": "long"}], r"\['slices'\] is a str, expected a list of name"),
        (ValueError, [GOOD | {"slices": ["a", " "]}], r"\['slices'\]\[1\]=' ', expected a name"),
        (ValueError, [GOOD | {"slices": ["a", "a"]}], r"\['a', 'a'\], expected each name once"),
    ],
)
def test_bad_predictions_are_refused(error, predictions, message):
    with refused(error, message):
        ErrorBrowser(predictions)


LONG = torch.full((1, 1, 4, 4), 0.25)


@pytest.mark.parametrize(
    ("error", "options", "message"),
    [
        (TypeError, {"classes": "ab"}, "classes is a str, expected a list of names"),
        (ValueError, {"classes": ["a"]}, r"classes=\['a'\], expected two names"),
        (ValueError, {"classes": ["a", "a"]}, r"classes=\['a', 'a'\], expected each name once"),
        (ValueError, {"reasons": ["a", 3]}, r"reasons\[1\]=3, expected a name"),
        (TypeError, {"attention": [1]}, "attention is a list, expected a dict by index"),
        (ValueError, {"attention": {1: ()}}, "attention names 1, expected an index from 0 to 0"),
        (ValueError, {"attention": {"0": ()}}, "attention names '0', expected an index from 0"),
        (TypeError, {"attention": {0: (TOKENS, WEIGHTS)}}, r"attention\[0\] is no \(tokens, bef"),
        (
            ValueError,
            {"attention": {0: (TOKENS, WEIGHTS, LONG)}},
            r"attention\[0\], after: tokens has length 3 but .*weights is 4 x 4",
        ),
        (
            ValueError,
            {"attention": {0: (TOKENS, WEIGHTS, WEIGHTS[:1])}},
            r"attention\[0\]: before is \[2, 5, 3, 3\] and after \[1, 5, 3, 3\], expected one sha",
        ),
        (
            ValueError,
            {"attention": {0: (TOKENS, 2 * WEIGHTS + 1, WEIGHTS)}},
            r"attention\[0\], before: weights is .* expected weights in \[0, 1\]",
        ),
    ],
)
def test_bad_options_are_refused(error, options, message):
    with refused(error, message):
        ErrorBrowser([GOOD], **options)


@pytest.mark.parametrize(
    ("trait", "value", "message"),
    [
        ("outcome", "false", "false"),
        ("slice", "b", r"slice='b', expected '' or one of \['a'\]"),
        ("label", 2, "label=2, expected 0, 1 or None"),
        ("least", 0.4, "least=0.4, expected 0.5 to 1"),
        ("most", 1.2, "most=1.2, expected 0.5 to 1"),
        ("order", "random", "random"),
        ("opened", 1, "opened=1, expected 0 to 0 or None"),
        ("given", {"1": "irony"}, "given names '1', expected '0' to '0'"),
        ("given", {"0": "haste"}, r"given\['0'\]='haste', expected one of \['negation', 'irony'"),
    ],
)
def test_a_trait_keeps_its_range(trait, value, message):
    browser = ErrorBrowser([GOOD | {"slices": ["a"]}])
    before = getattr(browser, trait)
    with refused(Exception, message):
        setattr(browser, trait, value)
    assert getattr(browser, trait) == before
    browser.slice, browser.label, browser.opened = "a", 1, 0
    browser.given = {"0": "irony"}


def test_state_is_within_its_budget():
    """1,500 predictions and the attention of 20 sentences, averaged over the heads of 6 layers."""
    text = (
        "A film that is not half as clever as it believes, and twice as long as it should be. " * 2
    )
    predictions = [
        {"text": text[:130], "label": i % 2, "probability": (i * 0.37) % 1, "note": "rated 1.2"}
        | {"slices": ["negation"] * (i % 3 == 0) + ["medium"]}
        for i in range(1500)
    ]
    mean = torch.full((6, 1, 24, 24), 1 / 24)
    tokens = [f"token{i}" for i in range(24)]
    browser = ErrorBrowser(predictions, attention=dict.fromkeys(range(20), (tokens, mean, mean)))
    state = {k: v for k, v in browser.get_state().items() if k not in ("_esm", "_css")}
    packed = [v for v in state.values() if isinstance(v, bytes)]
    rest = {k: v for k, v in state.items() if not isinstance(v, bytes)}
    assert len(json.dumps(rest)) + sum(len(v) * 4 / 3 for v in packed) <= 500_000
