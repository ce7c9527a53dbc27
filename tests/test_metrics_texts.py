import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU as Sacrebleu
from seqeval.metrics import f1_score, precision_score, recall_score
from torchmetrics.functional.text import squad
from underglass import metrics
from underglass.losses import token_losses

ZERO: Any = 0  # seqeval takes it, its annotations do not
WORDS = ["the", "a", "cat", "cat,", "mat.", "It's", "1,000.5", "3-4", "(so)", "&quot;hm&quot;", "é"]
texts = st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)
any_text = st.text(st.characters(max_codepoint=0x2FF, exclude_categories=["Cs"]), max_size=30)
ROUGES = ["rouge1", "rouge2", "rougeL"]


# ----------------------------------------------------------------------- language


def test_perplexity_is_exp_of_the_cross_entropy():
    logits = torch.randn(3, 5, 7, dtype=torch.float64)
    targets = torch.randint(7, (3, 5))
    total = token_losses(logits, targets).sum().item()
    expected = F.cross_entropy(logits.mT, targets).exp().item()
    assert metrics.perplexity(total, 15) == pytest.approx(expected, rel=1e-14)


def test_a_model_that_knows_nothing():
    """11 tokens, all alike: the perplexity is their number, and a byte of 256 takes 8 bits."""
    assert metrics.perplexity(11 * math.log(31), 11) == pytest.approx(31)
    assert metrics.bits_per_byte(5 * math.log(256), 5) == pytest.approx(8)
    assert metrics.bits_per_byte(math.log(256), len("é".encode())) == pytest.approx(4)


def test_the_ends_of_perplexity():
    assert metrics.perplexity(0.0, 3) == 1
    assert metrics.perplexity(709.0, 1) == math.exp(709)
    assert metrics.perplexity(710.0, 1) == math.inf
    assert metrics.perplexity(math.inf, 3) == math.inf


def test_wrong_losses_and_counts_are_refused():
    with refused(ValueError, "total_loss=nan: expected a sum of -log p, at least 0"):
        metrics.perplexity(math.nan, 3)
    with refused(ValueError, "total_loss=-1.0: expected a sum"):
        metrics.bits_per_byte(-1.0, 3)
    with refused(ValueError, "num_tokens=0: expected at least 1"):
        metrics.perplexity(1.0, 0)
    with refused(ValueError, "num_bytes=0: expected at least 1"):
        metrics.bits_per_byte(1.0, 0)


# ----------------------------------------------------------------------- BLEU


def check_bleu(predictions, references, **options):
    """Against sacrebleu, which wants one list for each translator, and counts to 100."""
    tokenize = options.pop("tokenize", "13a")
    ours_tokenize = {"13a": metrics.tokenize_13a, "none": str.split}[tokenize]
    ours = metrics.bleu(predictions, references, tokenize=ours_tokenize, **options)
    theirs = Sacrebleu(
        tokenize=tokenize,
        smooth_method=options.get("smoothing", "exp"),
        max_ngram_order=options.get("max_n", 4),
        force=True,  # no warning of texts that look tokenized
    ).corpus_score(predictions, [list(column) for column in zip(*references, strict=True)])
    assert 100 * ours.score == pytest.approx(theirs.score, abs=1e-12)
    assert ours.brevity_penalty == pytest.approx(theirs.bp, abs=1e-15)
    if ours.score:
        assert [100 * p for p in ours.precisions] == pytest.approx(theirs.precisions, abs=1e-12)


@pytest.mark.parametrize("smoothing", ["none", "exp"])
@pytest.mark.parametrize("tokenize", ["none", "13a"])
@given(st.data(), st.integers(1, 3), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_bleu_equals_sacrebleu(smoothing, tokenize, data, translators, count):
    predictions = [data.draw(texts) for _ in range(count)]
    references = [[data.draw(texts) for _ in range(translators)] for _ in range(count)]
    max_n = data.draw(st.integers(1, 5))
    check_bleu(predictions, references, smoothing=smoothing, tokenize=tokenize, max_n=max_n)


@pytest.mark.parametrize(
    ("prediction", "references"),
    [
        ("", [""]),
        ("", ["the cat"]),
        ("the cat sat on", [""]),
        ("the cat sat on the mat", ["the cat sat on the mat"]),
        ("one two three four", ["five six seven eight"]),
        ("the cat", ["the cat"]),  # no 4-grams
        ("the the the the the the the", ["the cat is on the mat", "there is a cat on the mat"]),
        ("a b c d", ["a b c", "a b c d e"]),  # two references as near: the shorter one counts
        ("a b c d", ["a b c d e", "a b c"]),  # in either order
        ("a b c d e", ["a b c e d", "a b x d e"]),  # matches from both
    ],
)
@pytest.mark.parametrize("smoothing", ["none", "exp"])
def test_bleu_at_the_edges(prediction, references, smoothing):
    check_bleu([prediction], [references], smoothing=smoothing)


def test_bleu_of_the_paper_s_example():
    """Papineni et al., section 2.1.1: of seven "the", two count."""
    score = metrics.bleu(["the " * 7], [["the cat is on the mat", "there is a cat on the mat"]])
    assert score.precisions[0] == 2 / 7


def test_bleu_is_not_the_mean_of_sentences():
    texts, others = ["a b c d", "a b c d e f g x"], [["a b c d"], ["a b c d e f g h"]]
    whole = metrics.bleu(texts, others).score
    parts = [metrics.bleu([t], [o]).score for t, o in zip(texts, others, strict=True)]
    assert abs(whole - sum(parts) / 2) > 0.01
    check_bleu(texts, others)


@given(st.one_of(any_text, texts, st.text("ab1.,-&quot;<> \n'", max_size=20)))
@settings(max_examples=300, deadline=None)
def test_tokens_equal_sacrebleu(text):
    theirs = Sacrebleu(tokenize="13a")._preprocess_segment(text)
    assert metrics.tokenize_13a(text) == theirs.split()


def test_wrong_translations_are_refused():
    with refused(ValueError, "predictions has 2 texts, references 1: expected as many"):
        metrics.bleu(["a", "b"], [["a"]])
    with refused(ValueError, "predictions has 0 texts, references 0: .* at least 1"):
        metrics.bleu([], [])
    with refused(TypeError, "predictions='cat' is a string: expected a list of strings"):
        metrics.bleu("cat", [["c"], ["a"], ["t"]])
    with refused(TypeError, r"references\[0\] is a string: expected a list of strings"):
        metrics.bleu(["a"], ["a"])
    with refused(ValueError, r"references\[1\] is empty: expected at least one text"):
        metrics.bleu(["a", "b"], [["a"], []])
    with refused(ValueError, "smoothing='floor': expected one of none, exp"):
        metrics.bleu(["a"], [["a"]], smoothing="floor")
    with refused(ValueError, "max_n=0: expected at least 1"):
        metrics.bleu(["a"], [["a"]], max_n=0)


# ----------------------------------------------------------------------- ROUGE


@given(st.one_of(texts, any_text), st.one_of(texts, any_text))
@settings(max_examples=300, deadline=None)
def test_rouge_equals_rouge_score(prediction, reference):
    theirs = RougeScorer(ROUGES, use_stemmer=False).score(reference, prediction)
    ours = [
        metrics.rouge_n(prediction, reference, 1),
        metrics.rouge_n(prediction, reference, 2),
        metrics.rouge_l(prediction, reference),
    ]
    for name, score in zip(ROUGES, ours, strict=True):
        assert tuple(score) == pytest.approx(tuple(theirs[name]), abs=1e-15)


@pytest.mark.parametrize(("prediction", "reference"), [("", ""), ("", "a cat"), ("a cat", "")])
def test_rouge_of_nothing_is_0(prediction, reference):
    assert metrics.rouge_n(prediction, reference, 1) == (0, 0, 0)
    assert metrics.rouge_l(prediction, reference) == (0, 0, 0)


def test_rouge_by_hand():
    """Lin, section 3.1: "police kill the gunman" has 3 of 4 words of "police killed the gunman"
    in their order, "the gunman kill police" only 2."""
    reference = "police killed the gunman"
    assert metrics.rouge_l("police kill the gunman", reference) == (0.75, 0.75, 0.75)
    assert metrics.rouge_l("the gunman kill police", reference) == (0.5, 0.5, 0.5)
    assert metrics.rouge_n("police kill the gunman", reference, 2).recall == 1 / 3


def test_a_tokenizer_of_one_s_own():
    assert metrics.rouge_n("кот спит", "кот ест", 1).f1 == 0
    assert metrics.rouge_n("кот спит", "кот ест", 1, tokenize=str.split).f1 == 0.5
    assert metrics.rouge_l("кот спит", "кот ест", tokenize=str.split).f1 == 0.5


@given(st.text("abc", max_size=9), st.text("abc", max_size=9))
@settings(max_examples=100, deadline=None)
def test_longest_common_subsequence_by_trying_all(first, second):
    def subsequences(text: str) -> set[str]:
        found = {""}
        for letter in text:
            found |= {start + letter for start in found}
        return found

    longest = max(map(len, subsequences(first) & subsequences(second)))
    assert metrics.longest_common_subsequence(first, second) == longest


def test_wrong_n_is_refused():
    with refused(ValueError, "n=0: expected at least 1"):
        metrics.rouge_n("a", "a", 0)


# ----------------------------------------------------------------------- answers

answers = st.lists(
    st.sampled_from(["The", "a", "an", "cat", "Cat's", "U.S.", "1,000", "—", "  ", "theatre"]),
    max_size=6,
).map(" ".join)


@given(st.one_of(answers, any_text), st.lists(st.one_of(answers, any_text), min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_answers_equal_torchmetrics(prediction, references):
    theirs = squad(
        {"prediction_text": prediction, "id": "1"},
        {"answers": {"text": references, "answer_start": [0] * len(references)}, "id": "1"},
    )
    assert 100 * metrics.exact_match(prediction, references) == theirs["exact_match"]
    # theirs goes down to float32
    assert 100 * metrics.span_f1(prediction, references) == pytest.approx(
        theirs["f1"].item(), rel=1e-6
    )


def test_answers_by_hand():
    assert (
        metrics.normalize_answer("  The U.S.A.,  an  ally—of a Theatre ") == "usa ally—of theatre"
    )
    assert metrics.exact_match("the cat!", ["dog", "Cat"]) == 1
    assert metrics.exact_match("cats", ["cat"]) == 0
    assert metrics.span_f1("a big cat", ["the cat", "dog"]) == 2 / 3
    assert metrics.span_f1("cat cat", ["cat"]) == 2 / 3  # the second one has no partner


def test_answers_without_words():
    assert metrics.exact_match("", [""]) == metrics.span_f1("", [""]) == 1
    assert metrics.exact_match("the", [""]) == metrics.span_f1("the", [""]) == 1
    assert metrics.exact_match("", ["cat"]) == metrics.span_f1("", ["cat"]) == 0
    assert metrics.span_f1("cat", [""]) == 0


@pytest.mark.parametrize("score", [metrics.exact_match, metrics.span_f1])
def test_wrong_references_are_refused(score):
    with refused(TypeError, "references='cat' is a string: expected a list of strings"):
        score("cat", "cat")
    with refused(ValueError, "references is empty: expected at least one"):
        score("cat", [])


# ----------------------------------------------------------------------- tagging

tags = st.lists(st.sampled_from(["O", "B-per", "I-per", "B-loc", "I-loc", "I-by-air"]), max_size=8)


@given(st.lists(tags, min_size=1, max_size=4), st.data())
@settings(max_examples=200, deadline=None)
@pytest.mark.filterwarnings("ignore:.*ill-defined and being set to 0.0")
def test_entities_equal_seqeval(targets, data):
    kinds = st.sampled_from(["O", "B-per", "I-per", "I-loc"])
    predictions = [[data.draw(kinds) for _ in text] for text in targets]
    ours = metrics.entity_f1(predictions, targets)
    theirs = (
        score(targets, predictions, zero_division=ZERO)
        for score in (precision_score, recall_score, f1_score)
    )
    assert tuple(ours) == pytest.approx(tuple(theirs), abs=1e-15)


def test_entities_by_hand():
    found = metrics.entities(["B-per", "I-per", "B-per", "I-loc", "O", "I-loc", "I-loc"])
    assert found == [("per", 0, 2), ("per", 2, 3), ("loc", 3, 4), ("loc", 5, 7)]
    assert metrics.entities([]) == []
    one_end_off = metrics.entity_f1([["B-per", "O"]], [["B-per", "I-per"]])
    assert one_end_off == (0, 0, 0)
    assert metrics.entity_f1([["O", "O"]], [["O", "O"]]) == (0, 0, 0)
    other_text = metrics.entity_f1([["B-per"], ["O"]], [["O"], ["B-per"]])
    assert other_text == (0, 0, 0)


def test_wrong_tags_are_refused():
    with refused(ValueError, r"tags\[1\]='per': expected \"O\", \"B-kind\" or \"I-kind\""):
        metrics.entities(["O", "per"])
    with refused(ValueError, r"tags\[0\]='B-': expected"):
        metrics.entities(["B-"])
    with refused(ValueError, "predictions has 1 texts, targets 2: expected as many"):
        metrics.entity_f1([["O"]], [["O"], ["O"]])
    with refused(ValueError, r"predictions\[0\] has 1 tags, targets\[0\] 2: expected one for each"):
        metrics.entity_f1([["O"]], [["O", "O"]])
