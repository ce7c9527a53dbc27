"""How the weights come into a page: packed, served beside it, or sent by Python; and how large."""

import json
import re
from base64 import b64encode
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import live_weights
import page_widgets
import pytest
import torch
from engine_pages import WIDGETS, Engine, EngineOfBERT
from pages import opened, widget_page
from refusals import refused
from sphinx.util.osutil import relative_uri
from torch import nn
from underglass import pretrained
from underglass.models.bert import BERT, BERTConfig
from underglass.models.bert_heads import BERTForMaskedLM
from underglass.models.gpt import GPT, GPTConfig
from underglass.quantization import quantize
from underglass.tokenizers import BPE
from underglass.widgets import live_packing
from underglass.widgets.live_model import LiveModel

SIZES: dict[str, Any] = {"vocab_size": 260, "max_len": 8, "d_model": 8, "num_layers": 1}
SIZES |= {"num_heads": 2, "d_ff": 12}
MODELS = ["speeches_gpt", "speeches_bert"]
MOST = 4_000_000  # bytes that a model may take as it is served


def bpe(special: int = 4, text: str = "a b") -> BPE:
    return BPE.train([text], 256 + special, special=[f"<|{i}|>" for i in range(special)])


# Packing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_served_in_at_most_four_megabytes(name):
    content = live_packing.packed(name)
    files = live_packing.scripts(name, content)
    served = sum(len(text.encode()) for text in files.values())
    print(f"{name}: {len(content):,} bytes, {served:,} as served in {len(files)} files")
    assert served <= MOST
    assert b"".join(live_packing.parts(content)) == content


@pytest.mark.parametrize("name", MODELS)
def test_vectors_of_our_models_lose_nothing_by_sixteen_bits(name):
    model = pretrained.load(name)
    vectors = [param for param in model.parameters() if param.ndim == 1]
    assert len(vectors) > 50
    assert all(torch.equal(vector.half().float(), vector) for vector in vectors)


def test_the_packed_bytes_are_laid_out_as_they_say():
    model = GPT(GPTConfig(**SIZES), generator=torch.Generator().manual_seed(1))
    content = live_packing.pack(model, bpe())
    length = int.from_bytes(content[:4], "little")
    header = json.loads(content[4 : 4 + length])
    assert header["kind"] == "gpt"
    assert header["config"]["num_heads"] == 2
    named = dict(model.named_parameters())
    assert [name for name, *_ in header["tensors"]] == list(named)
    rounded, scale = quantize(named["tokens.weight"])
    assert content[4 + length :].startswith(scale.numpy().tobytes())
    last = quantize(named["blocks.0.feed_forward.out_proj.weight"])[0]
    assert content.endswith(last.numpy().tobytes())
    whole = sum(p.numel() if p.ndim == 2 else 0 for p in named.values())
    halves = sum(len(p) for p in named.values())
    assert len(content) == 4 + length + 2 * halves + 4 * header["merges"] + whole
    assert live_packing.pack(model, bpe()) == content
    assert live_packing.version(content) != live_packing.version(content + b"0")


def small(**sizes: Any) -> GPT:
    return GPT(GPTConfig(**{**SIZES, **sizes}))


ODD_BERT = BERTForMaskedLM(BERT(BERTConfig(**SIZES)))
ODD_WORDS = BPE(bpe().vocab, (), special=bpe().special, pattern=r"\w+|\W")
ODD_ORDER = BPE({bytes([i]): i for i in range(256)}, (), special=bpe().special)


@pytest.mark.parametrize(
    ("model", "tokenizer", "match"),
    [
        (small(), bpe(8), "tokenizer has 264 tokens: expected 260"),
        (small(d_ff=10), bpe(), "d_ff=10: expected a multiple of 4"),
        (small(d_model=12, num_heads=4), bpe(), "num_heads=4: expected an even number for each"),
        (small(activation="relu"), bpe(), "activation='relu': expected one of gelu, gelu_tanh"),
        (ODD_BERT, bpe(), "pooler=True: expected a BERT without one"),
        (small(), ODD_WORDS, "tokenizer has pattern=.*: expected GPT-2's"),
        (small(), ODD_ORDER, "tokenizer numbers its tokens otherwise: expected the order of BPE"),
    ],
)
def test_what_the_engine_cannot_run_is_refused(model, tokenizer, match):
    with refused(ValueError, match):
        live_packing.pack(model, tokenizer)


def test_another_kind_of_model_is_refused():
    with refused(TypeError, "model is a Linear: expected a GPT or a BERTForMaskedLM"):
        live_packing.pack(nn.Linear(4, 4), bpe())


# In the page --------------------------------------------------------------------------------------


def test_the_engine_is_small():
    """As it stands in a page, without the comments that have lines of their own."""
    files = [(WIDGETS / f"{name}.js").read_text("utf-8") for name in LiveModel.before]
    size = sum(len(page_widgets.COMMENT.sub("", file).encode()) for file in files)
    print(f"{size:,} bytes of JavaScript")
    assert size <= 30_000  # of the 150 kB that a page may have


def test_the_state_of_a_widget_holds_no_weights():
    state = Engine().get_state()
    assert state["_live_model"] == "speeches_gpt"
    script = len(state.pop("_esm")) + len(state.pop("_css"))
    assert script < 100_000
    assert len(repr(state)) < 1000


def test_a_page_without_a_live_widget_is_left_alone(tmp_path):
    state: dict[str, Any] = {"a": {"state": {"value": 3}}}
    live_weights.place(state, tmp_path, str)
    assert state == {"a": {"state": {"value": 3}}}
    assert [*tmp_path.iterdir()] == []


def test_weights_lie_beside_the_pages_once(tmp_path):
    def state() -> dict[str, Any]:
        return {"a": {"state": {"_live_model": "speeches_gpt"}}, "b": {"state": {}}}

    first = state()
    live_weights.place(first, tmp_path, lambda place: f"../{place}")
    told = first["a"]["state"]["_live_files"]
    assert told["folder"] == "../_static/live/speeches_gpt/"
    files = sorted((tmp_path / "_static/live/speeches_gpt").iterdir())
    assert [file.name for file in files] == [f"{i:02}.js" for i in range(told["parts"])]
    times = [file.stat().st_mtime_ns for file in files]
    files[1].write_text("old")
    live_weights.place(state(), tmp_path, str)
    changed = [f.stat().st_mtime_ns != t for f, t in zip(files, times, strict=True)]
    assert changed == [i == 1 for i in range(len(files))]
    assert files[1].read_text().startswith('underglassParts["speeches_gpt"][1]="')


def test_the_build_tells_a_page_where_its_weights_are(tmp_path):
    def script(body: str) -> SimpleNamespace:
        return SimpleNamespace(attributes={"type": page_widgets.STATE, "body": body})

    entry = {"model_name": "AnyModel", "model_module": "anywidget"}
    states = {"a": entry | {"state": {"_live_model": "speeches_gpt"}}, "b": entry | {"state": {}}}
    view = f'<script type="{page_widgets.VIEW_TYPE}">{{"model_id": "a"}}</script>'
    context: dict[str, Any] = {
        "script_files": [script(json.dumps({"state": states}))],
        "body": f"<p>{view}</p>",
        "pathto": lambda place, resource: relative_uri("chapters/10_x.html", place),
    }
    app: Any = SimpleNamespace(outdir=str(tmp_path))
    page_widgets.embed(app, "chapters/10_x", "page.html", context, None)
    (text,) = re.findall(r'widget-state\+json">(.*?)</script>', context["body"], re.DOTALL)
    told = json.loads(text)["state"]["a"]["state"]["_live_files"]
    assert told["folder"] == "../_static/live/speeches_gpt/"
    assert (tmp_path / "chapters" / told["folder"] / "00.js").resolve().exists()
    # no page loads them by itself
    assert "speeches_gpt/" not in context["body"].replace(text, "")


LOAD = """async () => {
  window.shares = [];
  window.live = await engine.loadModel(engine.model, { onProgress: (s) => shares.push(s) });
  return [live.name, engine.isLoaded(engine.model), live.tokenizer.size];
}"""
FAILED = """async () => {
  try { await engine.loadModel(engine.model); } catch (error) { return error.message; }
}"""


@pytest.fixture
def visit(browser, tmp_path):
    """A page with these widgets, opened from a folder; the files that it loaded."""
    with ExitStack() as stack:

        def go(*widgets):
            url = widget_page(widgets, tmp_path / "page.html")
            page, heard = stack.enter_context(opened(browser, url))
            page.wait_for_selector("html[data-widgets=ready]", state="attached")
            return page, heard

        yield go


def parts(heard, name: str = "") -> list[str]:
    return sorted(url for url in heard.requests if f"live/{name}" in url)


@pytest.mark.browser
def test_weights_come_when_asked_for_and_once_for_all_widgets(visit):
    page, heard = visit(Engine(), EngineOfBERT(), Engine())
    assert parts(heard) == []
    assert page.evaluate("engine.isLoaded(engine.model)") is False
    first = page.evaluate(f"(async () => (await Promise.all([({LOAD})(), ({LOAD})()]))[1])()")
    assert first == ["speeches_gpt", True, 3072]
    assert page.evaluate("shares.slice(-1)[0]") == 1
    assert page.evaluate("shares.every((s, i) => !i || s >= shares[i - 1])")
    assert len(parts(heard, "speeches_gpt")) == len({*parts(heard)}) == 13
    assert parts(heard, "speeches_bert") == []
    assert page.evaluate("(async () => (await engine.loadModel(engine.model)) === live)()")
    assert len(parts(heard)) == 13
    assert heard.errors == heard.foreign() == []
    assert page.evaluate("document.querySelectorAll('script[src]').length") == 0


@pytest.mark.browser
def test_a_file_that_is_missing_is_named_and_may_come_later(visit, tmp_path):
    page, _ = visit(Engine())
    file = tmp_path / "_static/live/speeches_gpt/05.js"
    kept = file.read_text()
    file.unlink()
    assert page.evaluate(FAILED) == "05.js of the model could not be loaded"
    file.write_text("// cut off")
    assert page.evaluate(FAILED) == "05.js holds no weights"
    file.write_text(kept[:-9] + '";\n')
    assert page.evaluate(FAILED).startswith("the model has 2917")
    file.write_text(kept)
    assert page.evaluate(LOAD) == ["speeches_gpt", True, 3072]


# In a live notebook -------------------------------------------------------------------------------

KERNEL = """() => {
  const heard = new Set();
  engine.model.values._live_files = undefined;
  engine.model.on = (event, f) => { if (event === "msg:custom") heard.add(f); };
  engine.model.off = (event, f) => heard.delete(f);
  window.asked = [];
  engine.model.send = async (question) => {
    asked.push(question);
    for (const [message, text] of await toPython(question)) {
      const buffers = text === null ? [] : [new DataView(fromBase64(text).buffer)];
      for (const f of [...heard]) f(message, buffers);
    }
  };
  window.fromBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  window.listeners = () => heard.size;
}"""


@pytest.mark.browser
def test_python_sends_the_weights_part_by_part(visit, monkeypatch):
    widget, sent = Engine(), []
    monkeypatch.setattr(
        widget, "send", lambda content, buffers=None: sent.append((content, buffers))
    )
    page, heard = visit(widget)

    def to_python(question: Any) -> list[Any]:
        """What the kernel answers, and before it what another widget might have been told."""
        sent.clear()
        widget._handle_custom_msg(question, [])
        noise = [[{"answer": "other"}, None], ["text", None], [None, None]]
        return [*noise, *([message, b64encode(b[0]).decode()] for message, b in sent)]

    page.expose_function("toPython", to_python)
    page.evaluate(KERNEL)
    assert page.evaluate(LOAD) == ["speeches_gpt", True, 3072]
    asked = page.evaluate("asked")
    assert asked == [{"ask": "weights", "part": part} for part in range(13)]
    assert page.evaluate("[shares.length, shares[12], listeners()]") == [13, 1, 0]
    assert parts(heard) == []
    ids = page.evaluate("live.tokenizer.encode('The state of the Union')")
    assert ids == pretrained.tokenizer("speeches_gpt").encode("The state of the Union")
    assert page.evaluate(
        "(ids) => { const s = live.gpt.start(); s.extend(ids); return s.length; }", ids
    )


@pytest.mark.browser
def test_a_kernel_that_is_silent_is_told_of(visit):
    page, _ = visit(Engine())
    page.clock.install()
    page.expose_function("toPython", lambda question: [])
    page.evaluate(KERNEL)
    page.evaluate(f"() => {{ ({FAILED})().then((said) => {{ window.said = said; }}); }}")
    page.clock.run_for(61_000)
    page.wait_for_function("window.said")
    assert page.evaluate("said") == "Python does not answer: is the kernel running?"
    assert page.evaluate("listeners()") == 0


@pytest.mark.parametrize(
    "question",
    ["weights", {"ask": "other"}, {"ask": "weights"}, {"ask": "weights", "part": 13}]
    + [{"ask": "weights", "part": part} for part in (-1, "0", None, 0.5, True)],
    ids=str,
)
def test_other_messages_are_left_alone(question, monkeypatch):
    widget, sent = Engine(), []
    monkeypatch.setattr(widget, "send", lambda *args, **kwargs: sent.append(args))
    widget._handle_custom_msg(question, [])
    assert sent == []


def test_scripts_hold_nothing_but_an_assignment():
    for text in live_packing.scripts('a"b</script>', b"\0\xff" * 400_000).values():
        assert re.fullmatch(r'underglassParts\["a\\"b</script>"\]\[\d+\]="[\w+/=]*";\n', text)


def test_parts_are_few_enough_and_small_enough(tmp_path: Path):
    pieces = live_packing.parts(b"x" * 1_000_001)
    assert {len(piece) for piece in pieces[:-1]} == {240_000}
    assert len(pieces) == 5
