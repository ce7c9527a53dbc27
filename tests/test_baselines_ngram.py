from collections import Counter, defaultdict
from itertools import product

import pytest
import torch
from nltk.lm import KneserNeyInterpolated, Lidstone
from nltk.util import everygrams
from refusals import refused
from torch.testing import assert_close
from underglass.models.baselines import AddK, AddKConfig, NGram, NGramConfig

VOCAB = 5  # and the token 4 never occurs
TEXTS = [[0, 1, 0, 2, 0, 1, 3, 0, 2, 1, 0, 1, 3, 3], [], [2, 2, 2], [3], [3, 0], [0, 1, 0, 2, 3, 3]]
CONTEXTS = [c for size in range(4) for c in product(range(VOCAB), repeat=size)]
F64 = torch.float64


def kneser_ney(texts, order, discounts):
    """P(word, context) from the formula: dictionaries of tuples, and recursion."""
    grams = {n: Counter() for n in range(1, order + 1)}
    for text in texts:
        for n in grams:
            grams[n].update(tuple(text[i : i + n]) for i in range(len(text) - n + 1))
    counts = {order: grams[order]}
    for n in range(1, order):
        lefts = defaultdict(set)
        for first, *rest in grams[n + 1]:
            lefts[tuple(rest)].add(first)
        for text in texts:
            if len(text) >= n:
                lefts[tuple(text[:n])].add("the beginning")
        counts[n] = Counter({gram: len(left) for gram, left in lefts.items()})

    def probability(word, context):
        n = len(context) + 1
        below = probability(word, context[1:]) if context else 1 / VOCAB
        behind = [c for gram, c in counts[n].items() if gram[:-1] == context]
        if not behind:
            return below
        d = discounts[n - 1]
        own = max(counts[n][(*context, word)] - d, 0)
        return (own + d * len(behind) * below) / sum(behind)

    return lambda word, context: probability(word, tuple(last(context, order)))


def last(context, order):
    """The last order - 1 tokens, or the few that there are."""
    return context[max(0, len(context) - order + 1) :]


def all_probabilities(model, contexts):
    return torch.stack([model.probabilities(context) for context in contexts])


def test_a_small_case_by_hand():
    """a b a c a b: behind a stand b twice and c once. Left of a stand the beginning, b and c, of b
    only a, of c only a. With d = 1/2 single tokens keep (3, 1, 1) - 1/2 of 5: 3/10 is left over.
    """
    model = NGram(NGramConfig(vocab_size=4, order=2, discount=0.5)).fit([[0, 1, 0, 2, 0, 1]])
    alone = torch.tensor([2.5 / 5, 0.5 / 5, 0.5 / 5, 0.0], dtype=F64) + 3 / 10 / 4
    assert_close(model.probabilities([]), alone)
    behind_a = torch.tensor([0.0, 1.5 / 3, 0.5 / 3, 0.0], dtype=F64) + alone / 3
    assert_close(model.probabilities([0]), behind_a)
    assert_close(model.probabilities([3]), alone)
    losses = model.token_losses([0, 1])
    assert_close(losses, -torch.stack([alone[0], behind_a[1]]).log())


def test_estimated_discounts_by_hand():
    model = NGram(NGramConfig(vocab_size=4, order=2)).fit([[0, 1, 0, 1, 0, 2, 1]])
    # Left of a: the beginning, b; of b: a, c; of c: a. Twice: ab, ba. Once: ac, cb.
    assert model.discounts == pytest.approx((1 / (1 + 2 * 2), 2 / (2 + 2 * 2)))
    # One half where none or all are there once: "a a" is there twice, b has one left neighbour.
    assert NGram(NGramConfig(3, 2)).fit([[0, 0, 0]]).discounts == (0.5, 0.5)
    assert NGram(NGramConfig(3, 2)).fit([[1]]).discounts == (0.5, 0.5)
    assert NGram(NGramConfig(3, 5, 0.3)).fit([[0, 0, 0]]).discounts == (0.3,) * 5


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("discount", [0.3, 1.0, None])
def test_equals_the_formula(order, discount):
    model = NGram(NGramConfig(VOCAB, order, discount)).fit(TEXTS)
    formula = kneser_ney(TEXTS, order, model.discounts)
    found = all_probabilities(model, CONTEXTS)
    expected = [[formula(word, context) for word in range(VOCAB)] for context in CONTEXTS]
    assert_close(found, torch.tensor(expected, dtype=F64))


@pytest.mark.parametrize("order", [2, 3, 4])
def test_equals_nltk(order):
    """But for single tokens, of which nltk discounts nothing and leaves nothing to the unseen."""
    ours = NGram(NGramConfig(VOCAB, order, 0.3)).fit(TEXTS)
    theirs = KneserNeyInterpolated(order, discount=0.3)
    fit(theirs, [["<s>", *map(str, text)] for text in TEXTS])
    alone = ours.probabilities([])
    theirs.estimator.unigram_score = lambda word: alone[int(word)].item()
    assert_close(all_probabilities(ours, CONTEXTS), scores(theirs, CONTEXTS))


def fit(theirs, texts):
    order = theirs.order
    vocab = ["<s>", *map(str, range(VOCAB))]
    theirs.fit((list(everygrams(text, max_len=order)) for text in texts), vocab)


def scores(theirs, contexts):
    words = [str(w) for w in range(VOCAB)]
    behind = [tuple(map(str, last(c, theirs.order))) for c in contexts]
    return torch.tensor([[theirs.score(w, c) for w in words] for c in behind], dtype=F64)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_add_k_equals_nltk(order):
    ours = AddK(AddKConfig(VOCAB, order, 0.3)).fit(TEXTS)
    theirs = Lidstone(0.3, order)
    fit(theirs, [[str(i) for i in text] for text in TEXTS])
    # nltk adds for two words more, <s> and the unknown one: the others share what is left.
    found, expected = all_probabilities(ours, CONTEXTS), scores(theirs, CONTEXTS)
    assert len(theirs.vocab) == VOCAB + 2
    assert_close(found, expected / expected.sum(dim=1, keepdim=True))


MODELS = {
    "Kneser-Ney": lambda order: NGram(NGramConfig(VOCAB, order)),
    "add-k": lambda order: AddK(AddKConfig(VOCAB, order, 0.01)),
}
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


@every_model
@pytest.mark.parametrize("order", [1, 3, 5])
def test_probabilities_are_above_0_and_sum_to_1(model, order):
    fitted = model(order).fit(TEXTS)
    p = all_probabilities(fitted, [*CONTEXTS, (0, 1, 0, 2), (4, 4, 4, 4, 4, 0, 1, 0, 2)])
    assert p.dtype == F64
    assert (p > 0).all()
    assert_close(p.sum(dim=1), torch.ones(len(p), dtype=F64))


@every_model
def test_losses_are_those_of_the_probabilities(model):
    fitted, text = model(3).fit(TEXTS), [0, 1, 3, 0, 4, 4, 2, 2, 2, 0]
    expected = [-fitted.probabilities(text[:i])[w].log() for i, w in enumerate(text)]
    assert_close(fitted.token_losses(text), torch.stack(expected))
    assert fitted.token_losses([]).shape == (0,)


@every_model
def test_no_n_gram_reaches_into_the_next_text(model):
    apart, reordered = model(3).fit([[0, 1], [2, 3]]), model(3).fit([[2, 3], [0, 1]])
    joined = model(3).fit([[0, 1, 2, 3]])
    for context in CONTEXTS:
        assert_close(apart.probabilities(context), reordered.probabilities(context))
    assert apart.probabilities([1])[2] < joined.probabilities([1])[2] / 1.3


@every_model
def test_lists_tensors_and_generators_count_alike(model):
    lists = model(2).fit(TEXTS)
    tensors = model(2).fit(torch.tensor(text, dtype=torch.int32) for text in TEXTS if text)
    assert_close(tensors.probabilities([0]), lists.probabilities(torch.tensor([0])))
    assert_close(tensors.fit([[3]]).probabilities([0]), model(2).fit([[3]]).probabilities([0]))


def test_texts_shorter_than_the_order_are_counted():
    model = NGram(NGramConfig(vocab_size=4, order=5)).fit([[2, 3]])
    expected = torch.tensor([0.25, 0.25, 0.25, 0.25], dtype=F64) / 2
    expected += torch.tensor([0.0, 0.0, 0.5, 0.5], dtype=F64) / 2
    assert_close(model.probabilities([]), expected)
    assert_close(model.probabilities([2])[3], 0.5 + 0.5 * expected[3])


def test_large_ids_keep_apart():
    """A key is a number times vocab_size, plus an id: in 32 bits, or in floats, they would meet."""
    text = torch.arange(70_001).repeat(2)
    model = NGram(NGramConfig(10**6, 3, 0.5)).fit([text])
    p = model.probabilities([69_998, 69_999])
    assert p.argmax() == 70_000
    # Behind two known tokens 1/4 each is left; one token of 70001 has a share of its own.
    assert p[70_000].item() == pytest.approx(0.75 + 0.25 * 0.5, rel=1e-4)


# ----------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("config", "change", "message"),
    [
        (NGramConfig, dict(vocab_size=0), "vocab_size=0: expected at least 1"),
        (NGramConfig, dict(order=0), "order=0: expected at least 1"),
        (NGramConfig, dict(discount=0.0), "discount=0.0: expected a number above 0 and at most 1"),
        (NGramConfig, dict(discount=1.5), "discount=1.5: expected a number above 0 and at most 1"),
        (AddKConfig, dict(vocab_size=0), "vocab_size=0: expected at least 1"),
        (AddKConfig, dict(order=-1), "order=-1: expected at least 1"),
        (AddKConfig, dict(k=0.0), "k=0.0: expected a number above 0"),
        (AddKConfig, dict(k=float("nan")), "k=nan: expected a number above 0"),
    ],
)
def test_wrong_configs_are_refused(config, change, message):
    with refused(ValueError, message):
        config(**{"vocab_size": VOCAB, **change})


@every_model
@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ([], ValueError, "texts have no token: expected at least one"),
        ([[], []], ValueError, "texts have no token: expected at least one"),
        ([[0], [3, 5]], ValueError, r"texts\[1\] holds 5: .* from 0 to 4 \(vocab_size=5\)"),
        ([[-1]], ValueError, r"texts\[0\] holds -1: expected numbers from 0 to 4"),
        ([[0.5]], TypeError, r"texts\[0\] is torch.float32: expected integers"),
        ([[[0]]], ValueError, r"texts\[0\] has shape \(1, 1\): expected \[seq\], one text"),
        ([1, 2], TypeError, r"texts\[0\]=1: expected the ids of a text, a list or a tensor"),
        (torch.tensor([1, 2]), ValueError, r"texts\[0\] has shape \(\): expected \[seq\]"),
        (["a text"], TypeError, r"texts\[0\]='a text': expected the ids of a text"),
        ("a text", TypeError, "texts='a text': expected texts, each a list of ids"),
        (3, TypeError, "texts=3: expected texts, each a list of ids"),
    ],
)
def test_wrong_texts_are_refused_and_leave_the_model_as_it_was(model, texts, error, message):
    fitted = model(2).fit(TEXTS)
    before = fitted.probabilities([0])
    with refused(error, message):
        fitted.fit(texts)
    assert torch.equal(fitted.probabilities([0]), before)


@every_model
def test_wrong_contexts_and_ids_are_refused(model):
    fitted = model(2).fit(TEXTS)
    with refused(ValueError, "context holds 5: expected numbers from 0 to 4"):
        fitted.probabilities([5, 0])
    with refused(TypeError, "context is torch.float32: expected integers"):
        fitted.probabilities(torch.zeros(2))
    with refused(ValueError, "ids holds 5: expected numbers from 0 to 4"):
        fitted.token_losses([0, 5])
    with refused(ValueError, r"ids has shape \(1, 2\): expected \[seq\], one text"):
        fitted.token_losses(torch.tensor([[0, 1]]))


@every_model
def test_a_model_without_counts_says_so(model):
    with refused(ValueError, r"nothing has been counted yet: call fit\(texts\) first"):
        model(2).probabilities([])
    with refused(ValueError, r"nothing has been counted yet: call fit\(texts\) first"):
        model(2).token_losses([0])
