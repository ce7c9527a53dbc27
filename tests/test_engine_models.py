"""The page's GPT and BERT against PyTorch's, with the same weights."""

import numpy as np
import pytest
import torch
from engine_pages import Engine, EngineOfBERT, load, numbers
from underglass import pretrained
from underglass.quantization import quantized

pytestmark = pytest.mark.browser
TEXT = "Our allies are with us; and the Congress, I am sure, will do its duty. " * 3
EXACT = 1e-3  # of a logit; the logits are between -10 and 10


def test_gpt(show):
    page = show(Engine())
    load(page)
    ids = [3070, *pretrained.tokenizer("speeches_gpt").encode(TEXT)]
    page.evaluate("(ids) => { window.session = live.gpt.start(); session.extend(ids); }", ids)
    told = page.evaluate("session.ids.map((_, i) => toText(session.logits(i)))")
    with torch.no_grad():
        logits = quantized(pretrained.load("speeches_gpt"))(torch.tensor([ids]))[0]
    assert abs(np.stack([numbers(text) for text in told]) - logits.numpy()).max() < EXACT


def test_bert(show):
    page = show(EngineOfBERT())
    load(page)
    ids = pretrained.tokenizer("speeches_bert").encode(TEXT)
    ids[5] = 3071
    page.evaluate("(ids) => { window.reading = live.bert.run(ids); }", ids)
    told = page.evaluate("reading.ids.map((_, i) => toText(reading.logits(i)))")
    with torch.no_grad():
        logits = quantized(pretrained.load("speeches_bert"))(torch.tensor([ids]))[0]
    assert abs(np.stack([numbers(text) for text in told]) - logits.numpy()).max() < EXACT
