"""The page's GPT and BERT against PyTorch's, which has the same weights in 8 bits."""

import math
from base64 import b64encode
from typing import Any

import numpy as np
import pytest
import torch
from engine_pages import (
    EngineOfBERT,
    bert,
    engine,
    give,
    gpt,
    numbers,
    refusal,
    validation_texts,
)
from torch import Tensor, nn
from underglass import pretrained
from underglass.models.bert import BERT, BERTConfig
from underglass.models.bert_heads import BERTForMaskedLM
from underglass.models.gpt import GPT, GPTConfig
from underglass.quantization import quantized
from underglass.tokenizers import BPE
from underglass.widgets import live_packing

pytestmark = pytest.mark.browser

END, MASK = 3070, 3071
EXACT = (
    1e-4  # the contract is 1e-3 of a logit; both compute in single precision, and differ by 1e-5
)
SOME = 8  # of so many positions one is compared: all of them are 90 MB


def ids_of(text: str) -> list[int]:
    return pretrained.tokenizer("speeches_gpt").encode(text)


def read(ids: list[int]) -> Tensor:
    with torch.no_grad():
        return gpt()(torch.tensor([ids]))[0]


def told(page: Any, script: str, given: Any = None) -> np.ndarray:
    return numbers(page.evaluate(f"(given) => toText({script})", given))


def session(page: Any, ids: list[int]) -> None:
    page.evaluate("(ids) => { window.one = live.gpt.start(); one.extend(ids); }", ids)


def surprise(logits: Tensor, ids: list[int]) -> Tensor:
    """The logarithm of the probability of each token but the first."""
    return logits.double().log_softmax(-1)[:-1].gather(1, torch.tensor(ids)[1:, None])[:, 0]


# GPT ----------------------------------------------------------------------------------------------


def test_a_hundred_texts_of_validation(browser):
    """Logits, probabilities, and what a text costs in bits: all as in PyTorch, or nearly as low."""
    page, nats, nats_of_float, num_bytes = engine(browser), 0.0, 0.0, 0
    whole = pretrained.load("speeches_gpt")
    for text in validation_texts():
        ids = [END, *ids_of(text)]
        session(page, ids)
        logits = read(ids)
        places = range(0, len(ids), SOME)
        script = "joined(given.map((i) => one.logits(i)))"
        found = told(page, script, [*places]).reshape(len(places), -1)
        assert abs(found - logits[::SOME].numpy()).max() < EXACT
        script = "Float64Array.from(one.ids.slice(1), (_, i) => one.probability(i + 1))"
        found = torch.tensor(numbers(page.evaluate(f"toText({script})"), np.float64))
        torch.testing.assert_close(found.log(), surprise(logits, ids), atol=EXACT, rtol=0)
        nats -= float(found.log().sum())
        with torch.no_grad():
            nats_of_float -= float(surprise(whole(torch.tensor([ids]))[0], ids).sum())
        num_bytes += len(text.encode())
    growth = (nats - nats_of_float) / math.log(2) / num_bytes
    print(
        f"{growth:.5f} bits per byte more than in float32, of {nats / math.log(2) / num_bytes:.3f}"
    )
    assert growth < 0.01


def test_one_token_at_a_time_says_the_same(browser):
    page, ids = engine(browser), [END, *ids_of(validation_texts()[3])]
    page.evaluate(
        "(ids) => { window.one = live.gpt.start(); for (const id of ids) one.extend([id]); }", ids
    )
    found = told(page, "joined(one.ids.map((_, i) => one.logits(i)))")
    assert abs(found.reshape(len(ids), -1) - read(ids).numpy()).max() < EXACT


def test_what_is_cut_off_is_forgotten(browser):
    page, ids = engine(browser), [END, *ids_of(validation_texts()[4])]
    other = ids_of(validation_texts()[5])[:20]
    session(page, ids)
    page.evaluate("for (const i of one.ids.keys()) { one.lens(2, i); if (i) one.probability(i); }")
    page.evaluate("(ids) => { one.truncate(7); one.extend(ids); }", other)
    changed = ids[:7] + other
    assert page.evaluate("[one.ids, one.length]") == [changed, 27]
    logits = read(changed)
    assert abs(told(page, "one.logits(26)") - logits[26].numpy()).max() < EXACT
    probability = logits[9].softmax(-1)[changed[10]]
    assert page.evaluate("one.probability(10)") == pytest.approx(float(probability), rel=1e-3)
    fresh = "(() => { const s = live.gpt.start(); s.extend(one.ids); return s; })()"
    assert (told(page, "one.lens(2, 20)") == told(page, f"{fresh}.lens(2, 20)")).all()
    assert page.evaluate("one.weights()[4][3].length") == 27 * 27
    page.evaluate("one.truncate(100); one.truncate(0)")
    assert page.evaluate("one.length") == 0


def test_only_what_changed_is_computed_again(browser):
    page, ids = engine(browser), [END, *ids_of(validation_texts()[6])][:64]
    session(page, ids)
    page.evaluate(
        "() => { window.computed = []; const extend = one.extend;"
        "one.extend = (ids) => { computed.push(ids.length); extend.call(one, ids); } }"
    )
    for changed in ([*ids, 5], [*ids, 6, 7], ids[:60], [*ids[:30], 8, *ids[31:]], ids):
        page.evaluate("(ids) => one.update(ids)", changed)
        assert page.evaluate("one.ids") == changed
        found = told(page, f"one.logits({len(changed) - 1})")
        assert abs(found - read(changed)[-1].numpy()).max() < EXACT
    assert page.evaluate("computed") == [1, 2, 0, 34, 34]


def streams(model: GPT, ids: list[int]) -> list[Tensor]:
    """The residual stream going into each block, and what leaves the last."""
    found: list[Tensor] = []
    hooks = [b.register_forward_pre_hook(lambda _, x: found.append(x[0])) for b in model.blocks]
    hooks.append(model.norm.register_forward_pre_hook(lambda _, x: found.append(x[0])))
    with torch.no_grad():
        model(torch.tensor([ids]))
    for hook in hooks:
        hook.remove()
    return found


def test_logit_lens_of_every_layer(browser):
    page, ids = engine(browser), [END, *ids_of(validation_texts()[7])][:40]
    session(page, ids)
    found = streams(gpt(), ids)
    assert len(found) == 6
    for layer, x in enumerate(found):
        with torch.no_grad():
            wanted = gpt().norm(x[0, 30]) @ gpt().tokens.weight.T
        assert abs(told(page, f"one.lens({layer}, 30)") - wanted.numpy()).max() < EXACT


def test_attention_of_every_layer_and_head(browser):
    page, ids = engine(browser), [END, *ids_of(validation_texts()[8])][:50]
    page.evaluate(
        "(ids) => { window.one = live.gpt.start(); one.extend(ids.slice(0, 9));"
        "one.extend(ids.slice(9)); }",
        ids,
    )
    with torch.no_grad():
        _, weights = gpt()(torch.tensor([ids]), return_weights=True)
    found = told(page, "joined(one.weights().flat())")
    wanted = torch.stack([layer[0] for layer in weights]).numpy()
    assert abs(found.reshape(wanted.shape) - wanted).max() < 1e-5


def test_a_text_of_full_length(browser):
    page = engine(browser)
    ids = [END, *ids_of("".join(validation_texts()[:5]))][:256]
    session(page, ids)
    assert abs(told(page, "one.logits(255)") - read(ids)[255].numpy()).max() < EXACT
    said = refusal(page, "one.extend([1])")
    assert said == "RangeError: 257 tokens: expected at most max_len=256"
    assert page.evaluate("one.length") == 256


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("one.extend([3072])", "id=3072: expected 0 to 3071"),
        ("one.extend([5, -1])", "id=-1: expected 0 to 3071"),
        ("one.extend([0.5])", "id=0.5: expected 0 to 3071"),
        ("one.logits(3)", "position=3: expected 0 to 2"),
        ("one.logits(-1)", "position=-1: expected 0 to 2"),
        ("one.probability(0)", "position=0: expected 1 or more, for nothing is said of the first"),
        ("one.lens(6, 0)", "layer=6: expected 0 to 5"),
        ("one.lens(0, 3)", "position=3: expected 0 to 2"),
        ("one.truncate(-1)", "n=-1: expected how many tokens to keep"),
        ("live.gpt.start().logits(0)", "position=0: expected a position, but the text is empty"),
    ],
)
def test_what_a_session_refuses(browser, script, said):
    page = engine(browser)
    session(page, [END, 1, 2])
    assert refusal(page, script).startswith(f"RangeError: {said}")
    assert page.evaluate("one.ids") == [END, 1, 2]
    assert page.evaluate("one.probability(2)") > 0  # and it goes on


# BERT ---------------------------------------------------------------------------------------------


def test_bert_on_a_hundred_texts_of_validation(browser):
    page = engine(browser, EngineOfBERT)
    for text in validation_texts():
        ids = ids_of(text)
        ids[3::7] = [MASK] * len(ids[3::7])
        page.evaluate("(ids) => { window.reading = live.bert.run(ids); }", ids)
        with torch.no_grad():
            logits = bert()(torch.tensor([ids]))[0]
        places = range(3, len(ids), 14)
        script = "joined(given.map((i) => reading.logits(i)))"
        found = told(page, script, [*places]).reshape(len(places), -1)
        assert abs(found - logits[3::14].numpy()).max() < EXACT


def test_attention_of_bert(browser):
    page, ids = engine(browser, EngineOfBERT), ids_of(validation_texts()[9])[:41]
    with torch.no_grad():
        _, weights = bert()(torch.tensor([ids]), return_weights=True)
    page.evaluate("(ids) => { window.reading = live.bert.run(ids); }", ids)
    found = told(page, "joined(reading.weights().flat())")
    wanted = torch.stack([layer[0] for layer in weights]).numpy()
    assert abs(found.reshape(wanted.shape) - wanted).max() < 1e-5
    assert page.evaluate("reading.ids") == ids


def test_what_bert_refuses(browser):
    page = engine(browser, EngineOfBERT)
    assert refusal(page, "live.bert.run([3072])").endswith("id=3072: expected 0 to 3071")
    assert refusal(page, "live.bert.run([1]).logits(1)").endswith("position=1: expected 0 to 0")
    assert refusal(page, "live.bert.run(Array(257).fill(1))").endswith("at most max_len=256")


# Other sizes, and without WebAssembly -------------------------------------------------------------


def untrained(kind: str) -> tuple[nn.Module, BPE]:
    """A small model whose every number counts: biases and norms are drawn too."""
    bpe = BPE.train(["the cat and the hat and that"], 264, special=["<|mask|>"])
    sizes = {"max_len": 11, "d_model": 20, "num_layers": 3, "num_heads": 5, "d_ff": 28}
    sizes |= {"vocab_size": bpe.vocab_size}
    generator = torch.Generator().manual_seed(11)
    if kind == "gpt":
        model = GPT(GPTConfig(**sizes, activation="gelu"))
    else:
        config = BERTConfig(**sizes, num_segments=1, pooler=False, activation="gelu_tanh")
        model = BERTForMaskedLM(BERT(config))
    for param in model.parameters():
        drawn = torch.randn(param.shape, generator=generator)
        param.data.copy_((0.4 * drawn).half())  # vectors are packed in float16
    return model.eval(), bpe


WITHOUT = """(text) => {
  const { Module } = WebAssembly;
  WebAssembly.Module = class { constructor() { throw new Error("forbidden"); } };
  window.plain = engine.assemble(fromText(text));
  WebAssembly.Module = Module;
}"""


@pytest.mark.parametrize("kind", ["gpt", "bert"])
def test_other_sizes_with_webassembly_and_without(browser, kind):
    model, bpe = untrained(kind)
    page, content = engine(browser), live_packing.pack(model, bpe)
    give(page, content)
    page.evaluate(WITHOUT, b64encode(content).decode())
    run = "((live) => live.gpt ? live.gpt.output.machine : live.bert.output.machine)"
    assert page.evaluate(f"[{run}(other).run !== null, {run}(plain).run === null]") == [True, True]
    ids = [3, 259, 7, 8, 262, 0, 263, 9, 9, 100, 31]
    with torch.no_grad():
        wanted = quantized(model)(torch.tensor([ids]))[0].numpy()
    for live in ("other", "plain"):
        start = "const r = live.gpt.start(); r.extend(ids);"
        start = start if kind == "gpt" else "const r = live.bert.run(ids);"
        script = f"((live, ids) => {{ {start} return joined(ids.map((_, i) => r.logits(i))); }})"
        found = told(page, f"{script}({live}, given)", ids)
        assert abs(found.reshape(wanted.shape) - wanted).max() < EXACT * abs(wanted).max()
