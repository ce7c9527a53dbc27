"""What LiveGPT carries to the page, and what it refuses. The page itself: test_live_gpt.py."""

import base64
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from refusals import refused
from underglass import pretrained, widgets
from underglass.experiments import pretraining
from underglass.generation import next_token_logits
from underglass.models import residual
from underglass.quantization import quantized
from underglass.tokenizers import BPE
from underglass.widgets import LiveGPT
from underglass.widgets.live_gpt_example import KEPT, LONGEST, name_of

MODEL = quantized(pretrained.load("speeches_gpt"))
BPE_ = pretrained.tokenizer("speeches_gpt", BPE)
TEXTS = ("The state of the Union is", "", "naïve 🙂 שלום\n<b>")
CARRIED = 120_000  # letters of a page


def unpacked(widget: LiveGPT) -> dict[str, Any]:
    """The numbers of the state, in the order that live_gpt_example tells."""
    known, at, found = widget._example, 0, {}
    places, stages = len(known["ids"]), known["stages"]
    for name, dtype, shape in (
        ("candidates", "<u2", (places, known["kept"])),
        ("logits", "<f4", (places, known["kept"])),
        ("rest", "<f4", (places, known["groups"])),
        ("chances", "<f4", (places,)),
        ("lens", "<u2", (places, stages, known["best"])),
        ("lens_p", "<f4", (places, stages, known["best"])),
        ("told", "<f4", (places, stages, 2)),
        ("weights", "<u2", (stages - 1, known["heads"], places, places)),
    ):
        found[name] = np.frombuffer(widget._numbers, dtype, math.prod(shape), at).reshape(shape)
        at += found[name].nbytes
    assert at == len(widget._numbers)
    return found


def spread(sent: dict[str, Any], place: int, vocab: int) -> torch.Tensor:
    """One logit for each token, likeliest first, as the page works with them."""
    sizes = [len(part) for part in np.array_split(np.arange(vocab - KEPT), sent["rest"].shape[1])]
    rest = np.repeat(sent["rest"][place], sizes)
    return torch.from_numpy(np.concatenate([sent["logits"][place], rest]))


@pytest.mark.parametrize("text", TEXTS)
def test_the_example_is_what_the_quantized_model_says(text):
    widget = LiveGPT(text)
    sent, ids = unpacked(widget), widget._example["ids"]
    assert ids == [BPE_.special["<|endoftext|>"], *BPE_.encode(text)]
    with torch.no_grad():
        logits, weights = MODEL(torch.tensor([ids]), return_weights=True)
    for place, line in enumerate(logits[0]):
        best = sent["candidates"][place].astype(int)
        assert set(best) == set(line.topk(KEPT).indices.tolist())
        np.testing.assert_allclose(sent["logits"][place], line[best], atol=1e-5)
        assert (np.diff(sent["logits"][place]) <= 0).all()
    chances = logits[0].softmax(-1)[range(len(ids) - 1), ids[1:]]
    np.testing.assert_allclose(sent["chances"], [1.0, *chances], rtol=1e-4)
    together = torch.cat(weights).numpy()
    np.testing.assert_allclose(sent["weights"] / 65535, together, atol=1 / 130_000)


def test_what_is_in_groups_keeps_its_probability():
    widget = LiveGPT("The state of the Union is")
    sent, ids = unpacked(widget), widget._example["ids"]
    with torch.no_grad():
        (logits,) = MODEL(torch.tensor([ids]))
    for place, line in enumerate(logits):
        # In float64: the sum of 3,072 rounded numbers depends on their order.
        near, own = spread(sent, place, len(line)).double(), line.double().sort(descending=True)[0]
        for temperature, off in ((1.0, 1e-6), (0.5, 1e-3), (2.0, 1e-3)):
            got = (near / temperature).softmax(-1)[:KEPT].sum()
            assert got.item() == pytest.approx(
                (own / temperature).softmax(-1)[:KEPT].sum().item(), abs=off
            )
        cuts: list[dict[str, Any]] = [{"top_k": 1000}, {"top_p": 0.9}, {"top_p": 0.99}]
        for options in cuts:
            kept = [next_token_logits(x, **options).isfinite().sum().item() for x in (near, own)]
            assert abs(kept[0] - kept[1]) <= 0.03 * kept[1]  # a group is 45 tokens


def test_the_lens_is_that_of_the_trace():
    widget = LiveGPT("The state of the Union is")
    sent, ids = unpacked(widget), widget._example["ids"]
    chances = residual.trace(MODEL, torch.tensor([ids])).logits[:, 0].softmax(-1)
    assert sent["lens"].shape[1] == len(chances) == len(MODEL.blocks) + 1
    follows = [*ids[1:], int(chances[-1, -1].argmax())]
    for place, follow in enumerate(follows):
        for stage in range(len(chances)):
            line = chances[stage, place]
            best = sent["lens"][place, stage].astype(int)
            np.testing.assert_allclose(sent["lens_p"][place, stage], line[best], atol=1e-5)
            np.testing.assert_allclose(line[best], line.topk(len(best)).values, atol=1e-5)
            assert sent["told"][place, stage, 0] == pytest.approx(line[follow].item(), rel=1e-3)
            assert sent["told"][place, stage, 1] == (line > line[follow]).sum() + 1


def test_names_are_shown_as_the_tokenizer_shows_them():
    widget = LiveGPT("🙂 <b>")
    known = widget._example
    names = dict(zip(known["named"], known["names"], strict=True))
    assert [names[i] for i in known["ids"][1:]] == BPE_.tokens("🙂 <b>")
    assert {*unpacked(widget)["candidates"].flatten().tolist()} <= names.keys()
    assert name_of(BPE_, known["ids"][0]) == "<|endoftext|>"


def test_the_longest_example_fits_into_the_state():
    ids = BPE_.encode(pretraining.split().validation[0].text[2000:3000])
    widget = LiveGPT(BPE_.decode(ids[:LONGEST]))
    assert len(widget._example["ids"]) == LONGEST + 1
    state = len(base64.b64encode(widget._numbers)) + len(json.dumps(widget._example))
    assert state <= CARRIED


def test_repr():
    assert repr(LiveGPT("The state of")) == "LiveGPT(speeches_gpt, 3 tokens)"
    assert repr(LiveGPT("The")) == "LiveGPT(speeches_gpt, 1 token)"


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (TypeError, {"text": 3}, "text=3 is a int, expected a string"),
        (ValueError, {"text": "a b " * 20}, "text has .* tokens, expected at most 24: 'a b a"),
        (ValueError, {"temperature": -0.1}, "temperature=-0.1, expected 0.0 to 2.0"),
        (ValueError, {"temperature": math.nan}, "temperature=nan, expected 0.0 to 2.0"),
        (ValueError, {"top_k": 0}, "top_k=0, expected at least 1, or None"),
        (ValueError, {"top_p": 0.0}, "top_p=0.0, expected a share above 0 and up to 1, or None"),
        (ValueError, {"top_p": 1.5}, "top_p=1.5, expected a share above 0 and up to 1, or None"),
    ],
)
def test_bad_arguments_are_refused(error, arguments, message):
    with refused(error, message):
        LiveGPT(**arguments)


@pytest.mark.parametrize(
    ("trait", "value", "message"),
    [
        ("seed", -1, "seed=-1, expected 0 to 4294967295"),
        ("seed", 2**32, "seed=4294967296, expected 0 to 4294967295"),
        ("place", 0, "place=0, expected 1 to 256"),
        ("place", 257, "place=257, expected 1 to 256"),
        ("top_k", -3, "top_k=-3, expected at least 1"),
        ("temperature", 2.5, "temperature=2.5, expected 0.0 to 2.0"),
    ],
)
def test_a_trait_keeps_its_range(trait, value, message):
    widget = LiveGPT()
    before = getattr(widget, trait)
    with refused(ValueError, message):
        setattr(widget, trait, value)
    assert getattr(widget, trait) == before


def test_weights_are_no_state():
    assert sum(len(v) for v in LiveGPT().get_state().values() if isinstance(v, bytes)) < 90_000
    assert widgets.LiveGPT is LiveGPT
