"""The film sentences: parts that share nothing, methods that train what they say, fair judges."""

import math
import re
from collections import Counter
from dataclasses import replace
from functools import cache, partial

import pytest
import torch
from refusals import refused
from underglass import data
from underglass.attention import padding_mask
from underglass.experiments import film_sentiment
from underglass.experiments.film_sentiment import methods, reading, scoring
from underglass.experiments.film_sentiment.batches import Vectors
from underglass.experiments.film_sentiment.reading import Sentence, without_repeats
from underglass.experiments.film_sentiment.recipe import FilmRecipe, _Best
from underglass.experiments.following import Timed
from underglass.finetuning import count_trained, layerwise_groups, lora
from underglass.layers import EncoderBlock
from underglass.optimizers import AdamW
from underglass.training import History

METHODS = film_sentiment.METHODS
made = cache(film_sentiment.model)


def sentence(text: str = "A fine film.", ratings: tuple[int, ...] = (2, 1)) -> Sentence:
    mean = sum(ratings) / len(ratings)
    return Sentence(text, int(mean > 0), mean, ratings, "movie")


# The parts ----------------------------------------------------------------------------------------


def test_parts_are_drawn_from_the_clear_sentences_about_films():
    split = film_sentiment.split()
    clear = Counter(
        rated.text
        for rated in data.load("sentiment")
        if rated.origin == "movie" and abs(rated.rating) >= 0.5
    )
    drawn = Counter(s.text for part in split for s in part)
    assert drawn <= clear
    assert sum(clear.values()) == 10_072
    assert [len(part) for part in split] == [7553, 997, 1500]
    for own in (s for part in split for s in part):
        assert own.label == (own.rating > 0)
        assert own.origin == "movie"
    shares = [sum(s.label for s in part) / len(part) for part in split]
    assert all(0.46 < share < 0.53 for share in shares)


def test_no_part_repeats_another():
    """Told otherwise than the split does it: no text, and no text within another."""
    training, validation, test = film_sentiment.split()
    held_back = {" ".join(words(s)): len(words(s)) for s in [*validation, *test]}
    everything = "\n".join(f" {own} " for own in held_back)
    for own in training:
        text = " ".join(words(own))
        assert text not in held_back
        if len(words(own)) > 3:
            assert f" {text} " not in everything
    assert not {" ".join(words(s)) for s in validation} & {" ".join(words(s)) for s in test}


def words(sentence: Sentence) -> list[str]:
    return re.findall(r"\w+", sentence.text.lower())


def test_near_repeats_are_known_by_runs_of_four_words():
    held_back = [sentence("One of the year's best films."), sentence("Dull!"), sentence("So so.")]
    others = [
        "It is one of the year's best films, by far, and then some more",
        "dull",
        "So, so, so.",
    ]
    kept = ["One of the best films of the year", "Dull, dull.", "It is so so"]
    found = without_repeats(map(sentence, [*others, *kept]), held_back)
    assert [own.text for own in found] == ["So, so, so.", *kept]
    assert without_repeats(map(sentence, others), []) == [*map(sentence, others)]


def test_sentences_of_other_origins():
    found = film_sentiment.elsewhere()
    assert list(found) == ["tweet", "product", "editorial"]
    for origin, own in found.items():
        assert len(own) == 400
        assert all(s.origin == origin and abs(s.rating) >= 0.5 for s in own)
    films = {s.text for part in film_sentiment.split() for s in part}
    assert not films & {s.text for own in found.values() for s in own}


def test_a_sentence_knows_its_ids_and_its_share():
    own = sentence("Not a good film.", (-2, -1, 0, 1))
    assert own.ids == (101, 2025, 1037, 2204, 2143, 1012, 102)
    assert own.share == (1 + 0.5) / 4
    long = sentence("good " * 100)
    assert len(long.ids) == 64
    assert (long.ids[0], long.ids[-1]) == (101, 102)
    assert sentence("good " * 62).ids == long.ids


# Batches ------------------------------------------------------------------------------------------


def some(count: int = 101) -> list[Sentence]:
    return film_sentiment.split().validation[:count]


def test_an_epoch_has_every_sentence_once_and_an_order_of_its_own():
    batches = film_sentiment.batches(some(), rows=7, seed=3)
    orders = []
    for epoch in (0, 1, 0):
        batches.set_epoch(epoch)
        orders.append([tuple(row[row > 0].tolist()) for b in batches for row in b["ids"]])
    assert len(batches) == len([*batches]) == 15
    assert orders[0] == orders[2] != orders[1]
    for order in orders:
        assert sorted(order) == sorted(s.ids for s in some())
    other = film_sentiment.batches(some(), rows=7, seed=4)
    assert next(iter(other))["ids"].tolist() != next(iter(batches))["ids"].tolist()


def test_labels_and_shares_go_with_their_sentences():
    known = {s.ids: s for s in some()}
    for batch in film_sentiment.batches(some(), rows=7, seed=0):
        for ids, label, share in zip(batch["ids"], batch["labels"], batch["shares"], strict=True):
            own = known[tuple(ids[ids > 0].tolist())]
            assert (label.item(), share.item()) == (own.label, pytest.approx(own.share))


def test_little_of_a_batch_is_padding():
    sentences = film_sentiment.split().training[:2000]

    def padding(batches: list[list[Sentence]]) -> float:
        kept = sum(len(s.ids) for batch in batches for s in batch)
        return 1 - kept / sum(len(batch) * max(len(s.ids) for s in batch) for batch in batches)

    as_they_come = padding([sentences[start : start + 32] for start in range(0, 2000, 32)])
    for seed in (None, 0):
        ids = [batch["ids"] for batch in film_sentiment.batches(sentences, rows=32, seed=seed)]
        share = sum((own == 0).sum().item() for own in ids) / sum(own.numel() for own in ids)
        assert share < as_they_come / 4


def test_augmentation_leaves_out_tokens_but_not_the_ends():
    plain, dropped = (film_sentiment.batches(some(), 101, 0, drop=drop) for drop in (0.0, 0.3))
    whole = {tuple(row[row > 0].tolist()) for row in next(iter(plain))["ids"]}
    before = sum(map(len, whole)) - 2 * len(whole)
    rows = [tuple(row[row > 0].tolist()) for row in next(iter(dropped))["ids"]]
    assert all((row[0], row[-1]) == (101, 102) for row in rows)
    assert 0.65 < (sum(map(len, rows)) - 2 * len(rows)) / before < 0.75
    dropped.set_epoch(1)
    assert {tuple(row[row > 0].tolist()) for row in next(iter(dropped))["ids"]} != {*rows}


def test_vectors_come_with_their_labels():
    vectors, labels = torch.arange(11.0)[:, None].expand(11, 3), torch.arange(11)
    batches = Vectors(vectors, labels, 4, seed=1)
    found = [*batches]
    assert [len(own) for own, _ in found] == [4, 4, 3]
    assert all(torch.equal(own[:, 0].long(), label) for own, label in found)
    assert sorted(torch.cat([label for _, label in found]).tolist()) == [*range(11)]
    batches.set_epoch(1)
    assert not torch.equal(next(iter(batches))[1], found[0][1])


# Methods ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_every_method_starts_as_minilm_under_the_same_head(method):
    ids = torch.tensor([[101, 2204, 2143, 102], [101, 2919, 102, 0]])
    mask = padding_mask(ids, 0)
    model, other = made(method, 3).eval(), made("full", 3).eval()
    torch.testing.assert_close(model(ids, mask), other(ids, mask))
    hidden = methods._minilm().eval()(ids, mask)
    means = torch.stack([hidden[0].mean(0), hidden[1, :3].mean(0)])
    torch.testing.assert_close(model.embed(ids, mask), means)
    torch.testing.assert_close(model(ids, mask), model.classifier(means))
    model.train()
    other.train()


@pytest.mark.parametrize(
    ("method", "trained"),
    [
        ("head", r"classifier\."),
        ("frozen", r"classifier\.|bert\.blocks\.[345]\."),
        ("full", r"classifier\.|bert\.(?!pooler)"),
        ("layerwise", r"classifier\.|bert\.(?!pooler)"),
        ("lora", r"classifier\.|.*_proj\.lora_[ab]$"),
    ],
)
def test_a_step_changes_what_the_method_trains_and_nothing_else(method, trained):
    model = film_sentiment.model(method, 0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = film_sentiment.optimizer(method, model, 0.01)
    ids = [name for name, p in model.named_parameters() if p.requires_grad]
    assert ids == [name for name in before if re.match(trained, name)]
    for _ in range(2):  # LoRA's A moves when B is no longer zero
        film_sentiment.loss(model, next(iter(film_sentiment.batches(some(8))))).backward()
        optimizer.step()
        optimizer.zero_grad()
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert changed == {*ids}


def test_lora_trains_at_most_two_percent():
    assert count_trained(made("lora", 0)) == 331_776 + 770
    assert count_trained(made("lora", 0)) <= 0.02 * sum(
        p.numel() for p in made("full", 0).parameters()
    )


def test_rates_and_decay_of_the_groups():
    full = film_sentiment.optimizer("full", made("full", 0), 0.01, weight_decay=0.3)
    assert {group["lr"] for group in full.param_groups} == {0.01}
    for group in full.param_groups:
        assert group["weight_decay"] == (0.3 if group["params"][0].ndim > 1 else 0.0)
    layers = film_sentiment.optimizer("layerwise", made("layerwise", 0), 0.01)
    rates = sorted({group["lr"] for group in layers.param_groups})
    assert rates == pytest.approx([0.01 * 0.8**down for down in range(7, -1, -1)])


def test_optimizer_takes_the_steps_of_the_library_s_own():
    models = [film_sentiment.model("layerwise", 0, dropout=0.0) for _ in range(2)]
    first = film_sentiment.optimizer("layerwise", models[0], 0.01, weight_decay=0.3)
    second = AdamW(layerwise_groups(models[1], 0.01, decay=0.8, weight_decay=0.3), lr=0.01)
    generator = torch.Generator().manual_seed(0)
    pairs = [*zip(*(model.parameters() for model in models), strict=True)]
    for _ in range(3):
        for one, other in pairs:
            if one.requires_grad:
                one.grad = torch.randn(one.shape, generator=generator)
                other.grad = one.grad.clone()
        first.step()
        second.step()
    for one, other in pairs:
        torch.testing.assert_close(one, other)


def test_dropout_reaches_every_layer():
    model = film_sentiment.model("full", 0, dropout=0.37)
    found = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
    blocks = (block for block in model.bert.blocks if isinstance(block, EncoderBlock))
    found |= {block.attention.dropout for block in blocks}
    assert found == {0.37}


def test_seed_draws_the_head_and_lora():
    one, again, other = (film_sentiment.model("lora", seed).state_dict() for seed in (1, 1, 2))
    drawn = {name for name in one if not torch.equal(one[name], other[name])}
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert drawn == {name for name in one if name.endswith(("lora_a", "classifier.weight"))}


@pytest.mark.parametrize(
    ("options", "reference"),
    [
        ({}, lambda logits, b: torch.nn.functional.cross_entropy(logits, b["labels"])),
        (
            {"label_smoothing": 0.2},
            lambda logits, b: torch.nn.functional.cross_entropy(
                logits, b["labels"], label_smoothing=0.2
            ),
        ),
        (
            {"soft": True},
            lambda logits, b: torch.nn.functional.cross_entropy(
                logits, torch.stack([1 - b["shares"], b["shares"]], dim=1)
            ),
        ),
    ],
)
def test_loss_is_cross_entropy(options, reference):
    model, batch = made("full", 0).eval(), next(iter(film_sentiment.batches(some(9))))
    logits = model(batch["ids"], padding_mask(batch["ids"], 0))
    torch.testing.assert_close(
        film_sentiment.loss(model, batch, **options), reference(logits, batch)
    )
    model.train()


# Judging ------------------------------------------------------------------------------------------


def test_log_odds_are_those_of_each_sentence_alone():
    model, sentences = made("full", 0).train(), some(70)
    found = film_sentiment.log_odds(model, sentences)
    assert model.training
    model.eval()
    for place in (0, 33, 69):
        ids = torch.tensor([sentences[place].ids])
        with torch.no_grad():
            probabilities = model(ids, padding_mask(ids, 0)).softmax(-1)[0]
        expected = (probabilities[1] / probabilities[0]).log()
        torch.testing.assert_close(found[place], expected, atol=1e-5, rtol=1e-4)
    model.train()


def test_accuracy_counts_signs():
    sentences = [sentence(ratings=(rating,)) for rating in (1, 1, -1, -1, -1)]
    odds = torch.tensor([0.1, -0.1, -5.0, -0.3, 2.0])
    assert film_sentiment.accuracy(odds, sentences) == 3 / 5


def test_minilm_finds_most_verses_and_a_model_without_knowledge_few():
    model = film_sentiment.model("head", 0)
    assert film_sentiment.retrieval(model) > 0.9
    for parameter in model.bert.blocks.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(0))
    torch.nn.init.normal_(model.bert.tokens.weight[1000:], generator=torch.Generator())
    assert film_sentiment.retrieval(model) < 0.9


def test_the_same_verses_of_both_bibles_are_compared():
    old, new = scoring._verses()
    assert len(old) == len(new) == 500
    shared = [len({*a} & {*b}) / len({*a}) for a, b in zip(old, new, strict=True)]
    apart = [len({*a} & {*b}) / len({*a}) for a, b in zip(old, new[1:], strict=False)]
    assert sum(shared) > 2 * sum(apart)


def test_cost_counts_bytes():
    costs = {method: film_sentiment.cost(method, made(method, 0)) for method in METHODS}
    weights = sum(p.numel() for p in made("full", 0).parameters())
    assert costs["head"] == (770, 3080, 4 * weights + 12 * 770)
    assert costs["full"] == costs["layerwise"]
    assert costs["full"].trained == weights - 384 * 385  # the pooler
    kept = {m: own.memory - 12 * own.trained for m, own in costs.items()}
    plain = {m: sum(p.numel() for p in made(m, 0).parameters()) for m in METHODS}
    backward = {m: kept[m] - 4 * plain[m] for m in METHODS}
    # Half of the blocks keep half; LoRA keeps the inputs of A and B too, but none of W's.
    assert backward["frozen"] == pytest.approx(backward["full"] / 2, rel=0.05)
    assert backward["head"] == 0 < backward["lora"] < 1.1 * backward["full"]


def test_counting_the_bytes_leaves_no_trace():
    model = film_sentiment.model("lora", 0).eval()
    state = torch.get_rng_state()
    film_sentiment.cost("lora", model)
    assert torch.equal(state, torch.get_rng_state())
    assert not model.training
    assert all(p.grad is None for p in model.parameters())


# Recipes ------------------------------------------------------------------------------------------

SMALL = FilmRecipe("full", 1e-3, 1, amount=24, rows=8, judged_on=20, validations=3, precision=None)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_tells_what_happened(method):
    recipe = replace(SMALL, method=method)
    history, diverged, outcome = recipe.run(5)
    assert (recipe.steps, len(history), diverged) == (3, 3, None)
    assert history.validation_step == [1, 2, 3]
    top = 1e-3 * 0.8**7 if method == "layerwise" else 1e-3  # a history has the lowest rate
    assert history.rate == pytest.approx([top, top * 2 / 3, top / 3])
    assert outcome["accuracy"] in [n / 20 for n in range(21)]
    assert outcome["seconds"] > 0
    assert outcome["trained"] == count_trained(made(method, 0))
    again, _, same = recipe.run(5)
    assert (again.loss, again.validation_loss) == (history.loss, history.validation_loss)
    assert same["accuracy"] == outcome["accuracy"]


def test_first_steps_are_those_of_the_whole_run():
    whole, *_ = SMALL.run(5)
    begun, *_ = SMALL.run(5, steps=2)
    assert begun.loss == whole.loss[:2]
    assert begun.rate == whole.rate[:2]


def test_seed_draws_the_sentences():
    first, again, other = (SMALL.sentences(seed) for seed in (0, 0, 1))
    assert first == again != other
    assert len({s.text for s in first}) == 24
    assert {*first} <= {*film_sentiment.split().training}
    assert replace(SMALL, amount=48).sentences(0)[:24] == first  # more data holds the less
    assert replace(SMALL, amount=None).sentences(0) == film_sentiment.split().training


def test_warm_up_is_a_share_of_the_steps():
    factors = replace(SMALL, amount=80, warmup=0.3).factors()
    assert [factors(step) for step in range(11)] == pytest.approx(
        [0, 1 / 3, 2 / 3, *(left / 7 for left in range(7, -1, -1))]
    )


def test_validation_is_on_the_plain_loss_whatever_is_trained_on():
    model, batch = made("full", 0), next(iter(film_sentiment.batches(some(9))))
    recipe = replace(SMALL, soft=True)
    model.eval()
    assert recipe._loss(model, batch) == film_sentiment.loss(model, batch)
    torch.manual_seed(0)
    trained = recipe._loss(model.train(), batch)
    torch.manual_seed(0)
    assert trained == film_sentiment.loss(model, batch, soft=True)


def test_early_stopping_goes_back_to_the_best_weights():
    model, best = torch.nn.Linear(2, 1), _Best()
    history = History()
    for step, loss in enumerate([3.0, None, 1.0, 2.0, None], 1):
        torch.nn.init.constant_(model.weight, step)
        history.step.append(step)
        if loss is not None:
            history.validation_step.append(step)
            history.validation_loss.append(loss)
        best.look(model, history)
    best.restore(model)
    assert (model.weight == 3).all()


def test_patience_ends_a_run():
    stopped = replace(SMALL, epochs=4, rate=1.0, patience=1, validations=12, warmup=0.0)
    history, diverged, outcome = stopped.run(0)
    assert diverged is None
    assert len(history) < stopped.steps
    assert outcome["accuracy"] is not None


def test_validations_are_not_counted_as_training():
    def slow():
        yield sum(math.sqrt(number) for number in range(300_000))

    class Again:
        __iter__ = partial(slow)

    timed = Timed(Again())
    assert len([*timed]) == len([*timed]) == 1
    assert timed.seconds > 0


def test_judged_in_full_every_sentence_has_its_log_odds(tmp_path, monkeypatch):
    few = film_sentiment.split()._replace(test=some(5))
    monkeypatch.setattr("underglass.experiments.film_sentiment.recipe.split", lambda: few)
    monkeypatch.setattr(scoring, "NUM_VERSES", 7)
    recipe = replace(SMALL, method="lora", in_full=True)
    recipe.run(1, folder=tmp_path)
    assert not [*tmp_path.iterdir()]  # one seed's weights are enough to look at
    _, _, outcome = recipe.run(0, folder=tmp_path)
    sizes = {name: len(own) for name, own in outcome["log_odds"].items()}
    assert sizes == {"validation": 20, "test": 5, "tweet": 400, "product": 400, "editorial": 400}
    right = film_sentiment.accuracy(torch.tensor(outcome["log_odds"]["validation"]), some(20))
    assert right == outcome["accuracy"]
    assert outcome["retrieval"] in [n / 7 for n in range(8)]
    model = film_sentiment.model("head", 9)
    lora.load(model, tmp_path / "lora_0")
    odds = film_sentiment.log_odds(model, some(5))
    torch.testing.assert_close(odds, torch.tensor(outcome["log_odds"]["test"]), atol=2e-3, rtol=0)


def test_a_run_that_diverges_has_no_accuracy():
    history, diverged, outcome = replace(SMALL, rate=1e36, warmup=0.0).run(0)
    assert diverged == len(history) + 1
    assert outcome["accuracy"] is None


def test_what_is_refused():
    with refused(ValueError, "method='LoRA': expected one of head, frozen, full, layerwise, lora"):
        film_sentiment.model("LoRA", 0)
    with refused(ValueError, "method='Full': expected one of"):
        film_sentiment.optimizer("Full", made("full", 0), 0.1)
    with refused(ValueError, "lr=-0.1: expected a finite number above 0"):
        film_sentiment.optimizer("full", made("full", 0), -0.1)
    with refused(ValueError, "sentences is empty: expected at least one"):
        film_sentiment.batches([])
    with refused(ValueError, "rows=0: expected at least 1 sentence in a batch"):
        film_sentiment.batches(some(3), 0)
    with refused(ValueError, r"drop=1\.0: expected a share from 0 up to, but not including, 1"):
        film_sentiment.batches(some(3), drop=1.0)
    with refused(ValueError, "method='none': expected one of"):
        film_sentiment.cost("none", made("full", 0))
    assert reading.NUM_TEST == 1500
