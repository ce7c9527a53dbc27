"""The page's engine for tests: in a real Chromium, with the course's own model or any other."""

import base64
from pathlib import Path

import numpy as np
from playwright.sync_api import Page
from underglass import widgets
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
}
window.fromText = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));"""


class Engine(LiveModel):
    """A live widget that shows nothing: its script lays the engine out as `window.engine`."""

    model_name = "speeches_gpt"
    files = "engine_page"
    before = tuple(str(WIDGETS / name) for name in LiveModel.before)


class EngineOfBERT(Engine):
    model_name = "speeches_bert"
    files = "engine_page"


def load(page: Page) -> None:
    """Load the model by the static route: `live` in the page."""
    page.evaluate(SEND)
    page.evaluate("async () => { window.live = await engine.loadModel(engine.model); }")


def give(page: Page, content: bytes) -> None:
    """Give the page packed bytes of another model: `live` in the page."""
    page.evaluate(SEND)
    text = base64.b64encode(content).decode()
    page.evaluate("(text) => { window.live = engine.assemble(fromText(text)); }", text)


def numbers(text: str, dtype: type = np.float32) -> np.ndarray:
    """What `toText` of a typed array stands for."""
    return np.frombuffer(base64.b64decode(text), dtype=dtype)
