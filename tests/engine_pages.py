"""The page's engine for tests: in a real Chromium, with the course's own models or any other."""

import base64
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
from pages import Heard, opened, widget_page
from playwright.sync_api import Browser, Page
from underglass import pretrained, widgets
from underglass.experiments import pretraining
from underglass.models.bert_heads import BERTForMaskedLM
from underglass.models.gpt import GPT
from underglass.quantization import quantized
from underglass.widgets.live_model import LiveModel

WIDGETS = Path(widgets.__file__).parent
# A typed array as base64, and back: a million numbers as JSON would take a second.
SEND = """window.toText = (array) => {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) {
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return btoa(text);
};
window.joined = (arrays) => {
  const all = new Float32Array(arrays.reduce((sum, { length }) => sum + length, 0));
  arrays.reduce((at, array) => (all.set(array, at), at + array.length), 0);
  return all;
};
window.fromText = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));"""


class Engine(LiveModel):
    """A live widget that shows nothing: its script lays the engine out as `window.engine`."""

    model_name = "speeches_gpt"
    files = "engine_page"
    before = tuple(str(WIDGETS / name) for name in LiveModel.before)


class EngineOfBERT(Engine):
    model_name = "speeches_bert"
    files = "engine_page"


_OPEN: dict[str, tuple[Page, Heard, object]] = {}


def engine(browser: Browser, kind: type[Engine] = Engine) -> Page:
    """A page with the model loaded, as `live`: one for all tests, which keep to their own names."""
    if kind.__name__ not in _OPEN:
        folder = tempfile.TemporaryDirectory()
        url = widget_page([kind()], Path(folder.name) / "page.html")
        context = opened(browser, url)  # it ends with the browser
        page, heard = context.__enter__()
        _OPEN[kind.__name__] = page, heard, (folder, context)
        page.wait_for_selector("html[data-widgets=ready]", state="attached")
        page.evaluate(SEND)
        page.evaluate("async () => { window.live = await engine.loadModel(engine.model); }")
    page, heard, _ = _OPEN[kind.__name__]
    assert heard.errors == heard.foreign() == []
    return page


def give(page: Page, content: bytes) -> None:
    """Another model of these packed bytes, as `other` in the page."""
    text = base64.b64encode(content).decode()
    page.evaluate("(text) => { window.other = engine.assemble(fromText(text)); }", text)


def refusal(page: Page, script: str, given: object = None) -> str:
    """What the error says that this script, which knows `given`, throws."""
    attempt = f"(given) => {{ try {{ {script}; }} catch (error) {{ return String(error); }} }}"
    return page.evaluate(attempt, given) or "no error"


def numbers(text: str, dtype: type = np.float32) -> np.ndarray:
    """What `toText` of a typed array stands for."""
    return np.frombuffer(base64.b64decode(text), dtype=dtype)


@cache
def gpt() -> GPT:
    """PyTorch's GPT with the weights that the page has."""
    return quantized(pretrained.load("speeches_gpt"))


@cache
def bert() -> BERTForMaskedLM:
    return quantized(pretrained.load("speeches_bert"))


@cache
def validation_texts(count: int = 100) -> list[str]:
    """Pieces of 300 characters, from all over the years that no model was trained on."""
    whole = "\n\n".join(document.text for document in pretraining.split().validation)
    starts = torch.linspace(0, len(whole) - 300, count).long().tolist()
    return [whole[start : start + 300] for start in starts]
