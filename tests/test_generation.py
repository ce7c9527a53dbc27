import math
from dataclasses import replace
from typing import Any

import pytest
import test_gpt
import test_llama
import torch
from decoder_cases import scattered
from refusals import refused
from test_generation_sampling import chi_squared
from underglass.attention import padding_mask
from underglass.generation import beam_search, generate, stream
from underglass.models.gpt import GPT
from underglass.models.llama import Llama
from underglass.models.seq2seq import Seq2Seq, Seq2SeqConfig

PROMPTS = [[2, 7, 30], [4], [9, 1, 1, 8, 3]]
FAMILIES = {
    "GPT": (lambda: scattered(GPT(test_gpt.TINY)), test_gpt.transformers_twin),
    "Llama": (lambda: scattered(Llama(test_llama.TINY)), test_llama.transformers_twin),
}
families = pytest.mark.parametrize(("make", "twin"), FAMILIES.values(), ids=FAMILIES)
ANY: dict[str, Any] = dict(
    temperature=0.9, top_k=20, top_p=0.95, min_p=0.01, repetition_penalty=1.2
)


def seq2seq() -> Seq2Seq:
    config = Seq2SeqConfig(
        vocab_size=31, max_len=11, d_model=12, num_layers=2, num_heads=3, d_ff=13, dropout=0.0
    )
    return scattered(Seq2Seq(config))


def theirs(twin, prompt, new, **options):
    """What transformers' generate writes, with nothing but these options set."""
    ids = torch.tensor([prompt])
    found = twin.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, pad_token_id=0, **options
    )
    return [row[len(prompt) :].tolist() for row in found]


# ----------------------------------------------------------------------- beside transformers


@families
@pytest.mark.parametrize("use_cache", [True, False])
def test_greedy_equals_transformers(make, twin, use_cache):
    model = make()
    expected = [theirs(twin(model), p, 7, do_sample=False)[0] for p in PROMPTS]
    assert generate(model, PROMPTS, 7, temperature=0.0, use_cache=use_cache) == expected
    assert len({tuple(text) for text in expected}) == 3  # three texts, not one three times


@families
@pytest.mark.parametrize("penalty", [1.5, 0.8])
def test_greedy_with_a_penalty_equals_transformers(make, twin, penalty):
    model = make()
    expected = [
        theirs(twin(model), p, 7, do_sample=False, repetition_penalty=penalty)[0] for p in PROMPTS
    ]
    found = generate(model, PROMPTS, 7, temperature=0.0, repetition_penalty=penalty)
    assert found == expected


@families
@pytest.mark.parametrize("num_beams", [1, 2, 5])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0, -1.0])
@pytest.mark.parametrize("stop", [(), (3, 17, 22)], ids=["open end", "stop"])
@pytest.mark.filterwarnings("ignore:.*length_penalty.*")  # transformers: of no use to one beam
def test_beams_equal_transformers(make, twin, num_beams, length_penalty, stop):
    model = make()
    other = twin(model)
    for prompt in PROMPTS:
        found = beam_search(
            model, prompt, 6, num_beams=num_beams, length_penalty=length_penalty, stop=stop
        )
        options = dict(length_penalty=length_penalty, early_stopping=False)
        expected = theirs(
            other,
            prompt,
            6,
            do_sample=False,
            num_beams=num_beams,
            num_return_sequences=num_beams,
            eos_token_id=list(stop) or None,
            **(options if num_beams > 1 else {}),
        )
        assert [beam.tokens for beam in found] == [until(stop, text) for text in expected]


def until(stop, text):
    """Up to its first stop token; transformers fills up with padding behind it."""
    return next((text[:i] for i, token in enumerate(text) if token in stop), text)


def test_beam_scores_are_mean_log_probabilities():
    model = FAMILIES["GPT"][0]()
    for beam in beam_search(model, PROMPTS[0], 5, num_beams=3, stop=17):
        ids = PROMPTS[0] + beam.tokens + [17] * (len(beam.tokens) < 5)
        logs = model(torch.tensor([ids[:-1]])).detach().log_softmax(dim=-1)[0]
        goals = [(place - 1, ids[place]) for place in range(3, len(ids))]
        expected = sum(float(logs[goal]) for goal in goals) / len(goals)
        assert beam.score == pytest.approx(expected)


def test_more_beams_find_a_likelier_text():
    """Not so for every model and prompt: but over 20 models, and never worse than what 31 find."""
    one, many = [], []
    for seed in range(20):
        torch.manual_seed(seed)
        model = FAMILIES["GPT"][0]()
        one.append(beam_search(model, [1], 3, num_beams=1)[0].score)
        many.append(beam_search(model, [1], 3, num_beams=31)[0].score)
    assert sum(many) > sum(one) + 1
    assert all(b >= a - 1e-9 for a, b in zip(one, many, strict=True))


# ----------------------------------------------------------------------- batches, cache, stop


@pytest.mark.parametrize("make", [make for make, _ in FAMILIES.values()], ids=FAMILIES)
@pytest.mark.parametrize("use_cache", [True, False])
def test_a_batch_of_unequal_prompts_gives_what_each_alone_gives(make, use_cache):
    model = make()
    together = generate(model, PROMPTS, 6, temperature=0.0, use_cache=use_cache)
    alone = [generate(model, prompt, 6, temperature=0.0) for prompt in PROMPTS]
    assert together == alone


@pytest.mark.parametrize("make", [make for make, _ in FAMILIES.values()], ids=FAMILIES)
def test_the_cache_gives_the_same_tokens(make):
    model = make()
    texts = [
        generate(
            model,
            PROMPTS,
            7,
            **ANY,
            use_cache=use_cache,
            generator=torch.Generator().manual_seed(5),
        )
        for use_cache in (True, False)
    ]
    assert texts[0] == texts[1]


def test_a_generator_decides_the_text():
    model = FAMILIES["GPT"][0]()
    first, second, other = (
        generate(model, [1], 9, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert first == second != other


def test_first_tokens_are_as_frequent_as_the_model_says():
    """A chi-squared test over 8,000 texts; 99.9 % quantile for 6 degrees of freedom: 22.5."""
    model = scattered(GPT(replace(test_gpt.TINY, vocab_size=7)))
    model.norm.weight.data *= 0.2  # so that every token has a chance worth counting
    texts = generate(model, [[1, 2]] * 8000, 1, generator=torch.Generator().manual_seed(1))
    counts = torch.tensor([text[0] for text in texts]).bincount(minlength=7).double()
    probabilities = model(torch.tensor([[1, 2]])).detach()[0, -1].softmax(dim=-1)
    assert (probabilities * 8000).min() > 5
    assert chi_squared(counts, probabilities) < 22.5


def test_texts_end_at_stop_tokens():
    model = FAMILIES["GPT"][0]()
    free = generate(model, PROMPTS, 7, temperature=0.0)
    ends = {free[0][3], free[1][5]}
    stopped = generate(model, PROMPTS, 7, temperature=0.0, stop=ends)
    assert stopped == [until(ends, text) for text in free]
    assert len({len(text) for text in stopped}) > 1
    only = generate(model, PROMPTS[0], 7, temperature=0.0, stop=free[0][0])
    assert only == []


def test_a_stream_gives_the_tokens_one_by_one():
    model = FAMILIES["GPT"][0]()
    seed = lambda: torch.Generator().manual_seed(2)  # noqa: E731
    expected = generate(model, PROMPTS[0], 6, generator=seed())
    assert list(stream(model, PROMPTS[0], 6, generator=seed())) == expected
    whole = generate(model, PROMPTS, 6, temperature=0.0, stop=20)
    columns = list(stream(model, PROMPTS, 6, temperature=0.0, stop=20))
    rows = [[t for t in row if t is not None] for row in zip(*columns, strict=True)]
    assert rows == whole


def test_a_stream_computes_no_further_than_it_is_read():
    model = FAMILIES["GPT"][0]()
    calls = []
    model.norm.register_forward_hook(lambda *_: calls.append(1))
    tokens = iter(stream(model, [1], 9, temperature=0.0))
    assert calls == []
    next(tokens)
    next(tokens)
    assert len(calls) == 2


def test_with_the_cache_each_token_is_read_once():
    model = FAMILIES["Llama"][0]()
    sizes = []
    model.norm.register_forward_hook(lambda _, __, output: sizes.append(output.shape[1]))
    generate(model, [1, 2, 3], 4, temperature=0.0)
    assert sizes == [3, 1, 1, 1]


def test_prompts_may_be_tensors():
    model = FAMILIES["GPT"][0]()
    prompt = torch.tensor([2, 7, 30])
    expected = generate(model, [2, 7, 30], 3, temperature=0.0)
    assert generate(model, prompt, 3, temperature=0.0) == expected
    assert generate(model, prompt[None], 3, temperature=0.0) == [expected]
    assert generate(model, [prompt, prompt], 3, temperature=0.0) == [expected, expected]


def test_the_model_is_left_as_it_was():
    """In training where it was: parts of it, as after freezing; and without gradients meanwhile."""
    model = GPT(replace(test_gpt.TINY, dropout=0.5))
    model.blocks[0].eval()
    before = [module.training for module in model.modules()]
    texts = [generate(model, [1, 2], 6, temperature=0.0) for _ in range(2)]
    assert texts[0] == texts[1]  # no dropout
    assert [module.training for module in model.modules()] == before
    assert torch.is_grad_enabled()


def test_all_the_room_of_the_model_is_used():
    """11 positions: 5 of the prompt, 6 of new tokens that are read in, and one that is not."""
    model = FAMILIES["GPT"][0]()
    assert len(generate(model, PROMPTS[2], 7)) == 7


# ----------------------------------------------------------------------- encoder-decoder


SOURCE = torch.tensor([[5, 6, 7, 0, 0], [8, 9, 10, 11, 12]])


@pytest.mark.parametrize("use_cache", [True, False])
def test_greedy_translation_is_the_likeliest_token_each_time(use_cache):
    model, mask = seq2seq(), padding_mask(SOURCE, 0)
    found = generate(
        model,
        [[1], [1]],
        6,
        temperature=0.0,
        source_ids=SOURCE,
        source_mask=mask,
        use_cache=use_cache,
    )
    target = torch.tensor([[1], [1]])
    for _ in range(6):
        best = model(SOURCE, target, mask)[:, -1].argmax(dim=-1)
        target = torch.cat([target, best[:, None]], dim=1)
    assert found == target[:, 1:].tolist()


@torch.no_grad()
@pytest.mark.parametrize("use_cache", [True, False])
def test_beams_of_a_translation(use_cache):
    """With every token a beam, three steps find the best of all 31 ** 2 texts of two tokens."""
    model, source = seq2seq(), SOURCE[1:]
    best = beam_search(model, [1], 2, num_beams=31, source_ids=source, use_cache=use_cache)[0]
    firsts = model(source, torch.tensor([[1]]))[0, -1].log_softmax(dim=-1)
    pairs = torch.tensor([[1, token] for token in range(31)])
    seconds = model(source.expand(31, -1), pairs)[:, -1].log_softmax(dim=-1)
    sums = firsts[:, None] + seconds
    assert best.tokens == list(divmod(int(sums.argmax()), 31))
    assert best.score == pytest.approx(float(sums.max()) / 2)


# ----------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("prompt", "error", "message"),
    [
        ([], ValueError, "prompt_ids is empty: expected at least one token"),
        ([[1], []], ValueError, r"prompt_ids\[1\] is empty: expected at least one token"),
        (torch.zeros(0, dtype=torch.int64), ValueError, "prompt_ids is empty"),
        ("hello", TypeError, "prompt_ids='hello': expected token ids"),
        (5, TypeError, "prompt_ids=5: expected token ids"),
        ([1.5], TypeError, "prompt_ids is .1.5.*: expected whole numbers"),
        ([[1], 5], TypeError, "prompt_ids holds 5: expected token ids"),
        ([1, 31], ValueError, r"prompt_ids\[0\] holds 31: expected numbers from 0 to 30"),
        ([[1], [-1]], ValueError, r"prompt_ids\[1\] holds -1: expected numbers from 0 to 30"),
        (
            [1] * 12,
            ValueError,
            "a prompt of 12 tokens and max_new_tokens=2 do not fit",
        ),
        ([1] * 11, ValueError, "at most 1 new ones"),
    ],
)
def test_wrong_prompts_are_refused(prompt, error, message):
    with refused(error, message):
        generate(GPT(test_gpt.TINY), prompt, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(max_new_tokens=0), "max_new_tokens=0: expected at least 1"),
        (dict(temperature=-1.0), "temperature=-1.0: expected a finite number"),
        (dict(top_k=0), "top_k=0: expected a whole number"),
        (dict(top_p=1.5), "top_p=1.5: expected a share"),
        (dict(min_p=-0.5), "min_p=-0.5: expected a share"),
        (dict(repetition_penalty=0.0), "repetition_penalty=0.0: expected a finite number above 0"),
        (dict(stop=31), "stop holds 31: expected numbers from 0 to 30"),
        (dict(stop=[3, -1]), "stop holds -1: expected numbers"),
        (dict(source_ids=SOURCE), "source_ids are given: expected none, for a GPT has no encoder"),
    ],
)
@pytest.mark.parametrize("start", [generate, stream])
def test_wrong_options_are_refused_at_once(start, options, message):
    options = dict(max_new_tokens=2) | options
    with refused(ValueError, message):
        start(GPT(test_gpt.TINY), [1, 2], **options)


def test_top_p_of_0_takes_the_likeliest():
    model = FAMILIES["GPT"][0]()
    expected = generate(model, PROMPTS, 5, temperature=0.0)
    assert generate(model, PROMPTS, 5, top_p=0.0) == expected


def test_an_unknown_option_is_named():
    with refused(TypeError, "topk"):
        stream(GPT(test_gpt.TINY), [1], 2, topk=3)


def test_what_cannot_generate_is_refused():
    with refused(TypeError, "model is a Linear: expected a GPT, a Llama, a Seq2Seq"):
        generate(torch.nn.Linear(2, 2), [1], 2)


def test_nan_is_refused():
    model = GPT(test_gpt.TINY)
    model.norm.weight.data.fill_(math.nan)
    with refused(FloatingPointError, "the model gives NaN as logits after 2 tokens"):
        generate(model, [1, 2], 2)


def test_wrong_sources_are_refused():
    with refused(ValueError, "source_ids has None: expected one row for each of 1 prompts"):
        generate(seq2seq(), [1], 2)
    with refused(ValueError, "source_ids has 2 rows: expected one row for each of 1 prompts"):
        generate(seq2seq(), [1], 2, source_ids=SOURCE)
    with refused(ValueError, "prompt_ids are of unequal length: a Seq2Seq expects equal ones"):
        generate(seq2seq(), [[1], [1, 2]], 2, source_ids=SOURCE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(num_beams=0), "num_beams=0: expected from 1 to vocab_size=31"),
        (dict(num_beams=32), "num_beams=32: expected from 1 to vocab_size=31"),
        (dict(max_new_tokens=11), "do not fit into the model's max_len=11"),
        (dict(prompt_ids=[[1], [2]]), "prompt_ids is a batch: expected one prompt"),
        (dict(stop=99), "stop holds 99"),
        (dict(length_penalty=math.nan), "length_penalty=nan: expected a finite number"),
    ],
)
def test_wrong_beam_searches_are_refused(options, message):
    options = dict(prompt_ids=[1, 2], max_new_tokens=3, num_beams=2) | options
    with refused(ValueError, message):
        beam_search(GPT(test_gpt.TINY), **options)
