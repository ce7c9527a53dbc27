"""What LiveBERT carries to the page, and what it refuses. The page itself: test_live_bert.py."""

import json
from itertools import accumulate

import pytest
import torch
from refusals import refused
from underglass import pretrained
from underglass.models.bert_heads import BERTForMaskedLM
from underglass.quantization import quantized
from underglass.tokenizers import BPE
from underglass.widgets import LiveBERT

MODEL = quantized(pretrained.load("speeches_bert", BERTForMaskedLM))
BPE_ = pretrained.tokenizer("speeches_bert", BPE)
MASK = BPE_.special["<|mask|>"]
TEXT = "Zwölf Congresses 🙂 met,\nand met."


def masked(ids: list[list[int]], hidden: list[int]) -> list[int]:
    return [MASK if word in hidden else i for word, own in enumerate(ids) for i in own]


@pytest.mark.parametrize("hidden", [[1, 2, 4], [0]])
def test_every_run_is_what_the_quantized_model_says(hidden):
    known = LiveBERT(TEXT, hidden=hidden)._example
    words, ids = known["words"], known["ids"]
    assert "".join(words) == TEXT
    assert [i for own in ids for i in own] == BPE_.encode(TEXT)
    starts = [0, *accumulate(map(len, ids))]
    wanted = {str(i) for i in range(len(words))} | {",".join(map(str, hidden))}
    assert known["runs"].keys() == wanted
    for name, masks in known["runs"].items():
        chosen = [int(i) for i in name.split(",")]
        with torch.no_grad():
            logits = MODEL(torch.tensor([masked(ids, chosen)]))[0].double()
        assert [(m["word"], m["part"]) for m in masks] == [
            (word, part) for word in chosen for part in range(len(ids[word]))
        ]
        for mask in masks:
            row = logits[starts[mask["word"]] + mask["part"]]
            p, own = row.softmax(-1), ids[mask["word"]][mask["part"]]
            assert mask["id"] == own
            assert mask["p"] == pytest.approx(p[own].item(), rel=1e-4)
            assert mask["rank"] == 1 + int((p > p[own]).sum())
            assert mask["shares"] == pytest.approx(p.topk(8).values.tolist(), rel=1e-4)
            assert p[mask["ids"]].tolist() == pytest.approx(mask["shares"], rel=1e-4)


def test_names_are_those_of_the_tokens():
    known = LiveBERT(TEXT, hidden=0)._example
    for i, name in known["names"].items():
        assert name == BPE_.token(int(i)).decode(errors="backslashreplace")
    assert {str(i) for own in known["ids"] for i in own} <= known["names"].keys()


def test_forty_tokens_stay_small():
    text = " the" * 40
    widget = LiveBERT(text, hidden=range(40))
    assert len(json.dumps(widget._example)) <= 60_000


def test_words_are_hidden_by_name_or_number():
    assert LiveBERT().hidden == [8]
    assert LiveBERT(TEXT, hidden=("Congresses", 0, 1)).hidden == [0, 1]
    assert LiveBERT(TEXT, hidden="Zwölf").hidden == [0]
    assert LiveBERT(TEXT, hidden=()).hidden == []
    assert LiveBERT(TEXT, hidden=()).text == TEXT
    assert repr(LiveBERT(TEXT, hidden=2)) == f"LiveBERT(speeches_bert, {len(WORDS)} words)"


WORDS = ["Zwölf", " Congresses", " 🙂", " met", ",", "\n", "and", " met", "."]


@pytest.mark.parametrize(
    ("error", "text", "hidden", "message"),
    [
        (TypeError, 3, (), "text=3 is a int, expected a string"),
        (ValueError, "", (), "text has 0 tokens, expected 1 to 40: ''"),
        (ValueError, "a " * 60, (), "text has [0-9]+ tokens, expected 1 to 40"),
        (ValueError, TEXT, 9, "hidden holds 9, expected 0 to 8"),
        (ValueError, TEXT, (0, -1), "hidden holds -1, expected 0 to 8"),
        (ValueError, TEXT, "met", "hidden holds 'met', which stands there 2 times"),
        (ValueError, TEXT, ["war"], "hidden holds 'war', which is not a word of the text"),
        (TypeError, TEXT, (1.0,), "hidden holds 1.0, a float, expected words or their numbers"),
        (TypeError, TEXT, (True,), "hidden holds True, a bool, expected words"),
    ],
)
def test_bad_input_is_refused(error, text, hidden, message):
    with refused(error, message):
        LiveBERT(text, hidden=hidden)


def test_traits():
    widget = LiveBERT(TEXT, hidden=0)
    widget.hidden = [5, 2, 5]
    assert widget.hidden == [2, 5]
    with refused(ValueError, "hidden holds -1, expected numbers of words, from 0 on"):
        widget.hidden = [3, -1]
    assert widget.hidden == [2, 5]
    widget.text = "Anything."  # the page works out the rest
    assert widget.hidden == [2, 5]
