"""What ResidualView carries to the page, and what it refuses. The page: test_residual_view.py."""

import base64
import json
import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from refusals import refused
from residual_cases import IDS, LAYERS, VOCAB, WORDS, model, traced, walk
from torch.testing import assert_close
from underglass.models.gpt import GPT, GPTConfig
from underglass.models.llama import Llama, LlamaConfig
from underglass.models.residual import trace
from underglass.tokenizers import BPE
from underglass.widgets import ResidualView

STEPS = 2 * LAYERS + 1


def unpacked(widget: ResidualView) -> tuple[np.ndarray, np.ndarray]:
    """Ids and numbers as the page reads them: [step seq _]."""
    shape = (widget._shape["steps"], len(widget._text), -1)
    ids = np.frombuffer(widget._ids, "<u4").reshape(shape)
    return ids, np.frombuffer(widget._numbers, "<f4").reshape(shape)


def test_every_number_is_pytorch_s():
    found = traced()
    ids, numbers = unpacked(ResidualView(found, WORDS))
    for position in range(IDS.shape[1]):
        for at, step in enumerate(walk(found, position)):
            mine = torch.from_numpy(numbers[at, position].copy()).double()
            wanted = torch.stack([step.x.norm(), step.added.norm()])
            assert_close(mine[:2], wanted, rtol=1e-5, atol=0)
            if at:
                cosine = torch.cosine_similarity(step.added, step.before, dim=0)
                assert_close(mine[2], cosine, rtol=0, atol=1e-5)
            top, near = step.p.topk(4), partial(assert_close, rtol=1e-4, atol=1e-9)
            assert ids[at, position, :4].tolist() == top.indices.tolist()
            near(mine[5:9], top.values)
            rise = step.p - step.p_before
            for way, sign in enumerate((1, -1)):
                moved = ids[at, position, 4 + 3 * way : 7 + 3 * way].astype("int64")
                both = mine[9 + 6 * way : 15 + 6 * way]
                near(both[:3], step.p_before[moved])
                near(both[3:], step.p[moved])
                if at:
                    assert moved.tolist() == (sign * rise).topk(3).indices.tolist()


def test_the_next_token_and_its_rank():
    found = traced()
    _, numbers = unpacked(ResidualView(found, WORDS))
    following = IDS[0, 1:].tolist()
    for position, i in enumerate(following):
        for at, step in enumerate(walk(found, position)):
            p, rank = numbers[at, position, 3:5]
            assert p == pytest.approx(step.p[i].item(), rel=1e-4)
            assert rank == 1 + int((step.p > step.p[i]).sum())
    assert np.isnan(numbers[:, len(following), 3:5]).all()
    assert not np.isnan(numbers[:, : len(following)]).any()


def test_the_last_row_is_what_the_model_says():
    gpt = model()
    ids, numbers = unpacked(ResidualView(trace(gpt, IDS), WORDS))
    top = gpt(IDS)[0].softmax(-1).topk(4)
    assert ids[-1, :, :4].tolist() == top.indices.tolist()
    np.testing.assert_allclose(numbers[-1, :, 5:9], top.values.detach(), rtol=1e-4)


def test_only_words_that_are_shown_are_carried():
    widget = ResidualView(traced(IDS[:, :2]), WORDS)
    ids, _ = unpacked(widget)
    assert {int(i) for i in widget._names} == {2, 7, *ids.flatten().tolist()}
    assert all(name == WORDS[int(i)] for i, name in widget._names.items())


def test_words_of_a_tokenizer():
    bpe = BPE.train(["ein Übel, ein Übel, ein Ü"], 265, special=["<|end|>"])
    gpt = GPT(GPTConfig(bpe.vocab_size, 16, 12, 1, 3, 5)).eval()
    text = bpe.encode("ein Ü ä<|end|>", special=True)
    widget = ResidualView(trace(gpt, torch.tensor([text])), bpe)
    shown = [widget._names[str(i)] for i in text]
    assert "\\xc3" in shown  # of ä: a byte that is no whole character
    assert shown[-1] == "<|end|>"


def test_a_text_of_128_tokens_of_the_course_s_size_fits_into_the_state():
    gpt = GPT(GPTConfig(3072, 256, 192, 5, 4, 768)).eval()
    ids = torch.arange(128)[None]
    widget = ResidualView(trace(gpt, ids), [f" token {i}" for i in range(3072)])
    packed = [base64.b64encode(part) for part in (widget._ids, widget._numbers)]
    assert sum(map(len, packed)) + len(json.dumps(widget._names)) <= 300_000


def test_llama_one_token_and_small_vocabularies():
    llama = Llama(LlamaConfig(2, 5, 4, 1, 2, 1, 3)).eval()
    widget = ResidualView(trace(llama, torch.tensor([[1]])), ["a", "b"])
    assert (widget.position, widget.step) == (0, 2)
    assert (widget._shape["candidates"], widget._shape["moved"]) == (2, 1)
    alone = ResidualView(trace(model(vocab_size=1), torch.tensor([[0, 0]])), ["a"])
    assert alone._shape["moved"] == 0
    _, numbers = unpacked(alone)
    assert (numbers[:, 0, 3:] == 1).all()  # one token: certain, first


def test_repr_and_start():
    widget = ResidualView(traced(), WORDS)
    assert repr(widget) == "ResidualView(7 tokens, 7 steps)"
    assert (widget.position, widget.step, widget.other) == (5, 6, None)
    chosen = ResidualView(traced(), WORDS, position=6, step=0)
    assert (chosen.position, chosen.step) == (6, 0)


def broken() -> ResidualView:
    found = traced()
    stream = found.feed_forward.clone()
    stream[1, 0, 4, 2] = math.inf
    return ResidualView(replace(found, feed_forward=stream), WORDS)


def on_meta() -> ResidualView:
    with torch.device("meta"):
        gpt = GPT(GPTConfig(VOCAB, 5, 4, 1, 2, 3))
        return ResidualView(trace(gpt, torch.zeros(1, 3, dtype=torch.int64)), WORDS)


@pytest.mark.parametrize(
    ("error", "make", "message"),
    [
        (TypeError, lambda: ResidualView(IDS, WORDS), "trace is a Tensor, expected what residual"),  # pyright: ignore
        (
            ValueError,
            lambda: ResidualView(traced(IDS.expand(2, -1)), WORDS),
            r"trace is of 2 texts, expected one: trace\(model, ids\[:1\]\)",
        ),
        (ValueError, on_meta, "trace is on the meta device, expected one with numbers"),
        (
            ValueError,
            broken,
            "trace.feed_forward is not finite at layer 1, position 4, expected finite",
        ),
        (
            ValueError,
            lambda: ResidualView(trace(model(5, max_len=300), IDS.repeat(1, 19)), WORDS),
            "trace has 133 tokens, expected at most 131: each has 11 steps",
        ),
        (TypeError, lambda: ResidualView(traced(), "abc"), "tokens is a str, expected a BPE or a"),
        (TypeError, lambda: ResidualView(traced(), 3), "tokens is a int, expected a BPE"),  # pyright: ignore
        (TypeError, lambda: ResidualView(traced(), [*WORDS[:2], 3]), r"tokens\[2\]=3 is not a st"),  # pyright: ignore
        (ValueError, lambda: ResidualView(traced(), WORDS[:7]), "length 7, expected vocab_size=31"),
        (ValueError, lambda: ResidualView(traced(), WORDS, position=7), "position=7, expected 0 t"),
        (ValueError, lambda: ResidualView(traced(), WORDS, step=-1), "step=-1, expected 0 to 6"),
    ],
)
def test_bad_input_is_refused(error, make, message):
    with refused(error, message):
        make()


@pytest.mark.parametrize(
    ("trait", "value", "message"),
    [
        ("position", 7, "position=7, expected 0 to 6"),
        ("step", 7, "step=7, expected 0 to 6"),
        ("other", -1, "other=-1, expected None or 0 to 6"),
    ],
)
def test_a_trait_keeps_its_range(trait, value, message):
    widget = ResidualView(traced(), WORDS)
    before = getattr(widget, trait)
    with refused(ValueError, message):
        setattr(widget, trait, value)
    assert getattr(widget, trait) == before
