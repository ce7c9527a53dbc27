"""The page's sampling against the library's, number by number, and its random numbers."""

from base64 import b64encode
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from engine_pages import engine, gpt, numbers, refusal, validation_texts
from underglass import pretrained
from underglass.generation import draw, generate, next_token_logits

pytestmark = pytest.mark.browser

# Temperature, top-k, top-p and min-p: each alone, together, and at the ends of their ranges.
OPTIONS: list[dict[str, Any]] = [
    {},
    {"temperature": 0.0},
    {"temperature": 1e-39},
    {"temperature": 1e-3},
    {"temperature": 0.7},
    {"temperature": 2.5},
    {"top_k": 1},
    {"top_k": 40},
    {"top_k": 5000},
    {"top_p": 0.0},
    {"top_p": 0.9},
    {"top_p": 1.0},
    {"min_p": 0.0},
    {"min_p": 0.05},
    {"min_p": 1.0},
    {"temperature": 0.8, "top_k": 50, "top_p": 0.95, "min_p": 0.02},
    {"temperature": 1.4, "top_k": 7, "top_p": 0.5},
    {"temperature": 0.0, "top_k": 3, "top_p": 0.2, "min_p": 0.5},
]
NAMES = {"temperature": "temperature", "top_k": "topK", "top_p": "topP", "min_p": "minP"}


@cache
def tables() -> torch.Tensor:
    """Logits of the model itself, random ones, and ones with many equal values."""
    with torch.no_grad():
        ids = [3070, *pretrained.tokenizer("speeches_gpt").encode(validation_texts()[0])]
        of_model = gpt()(torch.tensor([ids]))[0, ::9]
    generator = torch.Generator().manual_seed(2)
    drawn = 3 * torch.randn(6, 3072, generator=generator)
    return torch.cat([of_model, drawn, drawn.round(), torch.zeros(1, 3072)])


def cut(browser, options: dict[str, Any]) -> list[dict[str, Any]]:
    """What nextToken makes of each table, kept in the page as `left`."""
    given = [b64encode(tables().numpy().tobytes()).decode(), named(options)]
    script = """([text, options]) => {
      const all = new Float32Array(fromText(text).buffer), starts = [];
      for (let at = 0; at < all.length; at += 3072) starts.push(at);
      window.left = starts.map((at) => engine.nextToken(all.slice(at, at + 3072), options));
      return left.map(({ probabilities, full, kept, order }) => ({
        probabilities: toText(probabilities), full: toText(full),
        order: toText(Uint16Array.from(order)), kept }));
    }"""
    return engine(browser).evaluate(script, given)


def named(options: dict[str, Any]) -> dict[str, Any]:
    return {NAMES[name]: value for name, value in options.items()}


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_what_is_cut_and_what_is_left(browser, options):
    for logits, found in zip(tables(), cut(browser, options), strict=True):
        left = next_token_logits(logits, **options)
        probabilities = numbers(found["probabilities"], np.float64)
        assert abs(probabilities - left.double().softmax(-1).numpy()).max() < 1e-12
        order = numbers(found["order"], np.uint16)
        assert {*order[: found["kept"]]} == {*left.isfinite().nonzero()[:, 0].tolist()}
        temperature = {"temperature": options.get("temperature", 1.0)}
        whole = next_token_logits(logits, **temperature).double().softmax(-1).numpy()
        full = numbers(found["full"], np.float64)
        assert abs(full - whole).max() < 1e-12
        assert sorted(order) == [*range(3072)]
        assert (np.diff(full[order]) <= 0).all()


def chance(generator: torch.Generator) -> float:
    """The random number that the library's `draw` takes for one token."""
    return float(torch.rand(1, 1, generator=generator, dtype=torch.float64))


@pytest.mark.parametrize("options", [{}, {"temperature": 0.8, "top_k": 50, "top_p": 0.9}], ids=str)
def test_the_same_random_number_gives_the_same_token(browser, options):
    cut(browser, options)
    script = "([i, chances]) => chances.map((u) => engine.pick(left[i].probabilities, u))"
    chances = [chance(torch.Generator().manual_seed(seed)) for seed in range(50)]
    for i, logits in enumerate(tables()):
        left = next_token_logits(logits, **options)[None]
        tokens = [int(draw(left, torch.Generator().manual_seed(seed))) for seed in range(50)]
        assert engine(browser).evaluate(script, [i, chances]) == tokens
        # nor at either end a token that was cut
        ends = engine(browser).evaluate(script, [i, [0.0, 1 - 2**-53]])
        assert left[0, ends].isfinite().all()


@pytest.mark.parametrize(
    "options",
    [{"temperature": 0.0}, {"temperature": 0.9, "top_k": 100, "top_p": 0.95, "min_p": 0.01}],
    ids=str,
)
def test_a_whole_text_is_the_one_that_the_library_writes(browser, options):
    prompt, count = [3070, *pretrained.tokenizer("speeches_gpt").encode("The state of the")], 40
    written = generate(gpt(), prompt, count, **options, generator=torch.Generator().manual_seed(8))
    generator = torch.Generator().manual_seed(8)
    chances = [chance(generator) for _ in range(count)]
    script = """([prompt, chances, options]) => {
      const session = live.gpt.start();
      session.extend(prompt);
      return chances.map((u) => {
        const { probabilities } = engine.nextToken(session.logits(session.length - 1), options);
        const id = engine.pick(probabilities, u);
        session.extend([id]);
        return id;
      });
    }"""
    assert engine(browser).evaluate(script, [prompt, chances, named(options)]) == written


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("temperature: -1", "temperature=-1: expected a finite number of at least 0"),
        ("temperature: NaN", "temperature=NaN: expected a finite number of at least 0"),
        ("topK: 0", "topK=0: expected a whole number of at least 1"),
        ("topK: 2.5", "topK=2.5: expected a whole number of at least 1"),
        ("topP: 1.1", "topP=1.1: expected a share from 0 to 1"),
        ("minP: -0.1", "minP=-0.1: expected a share from 0 to 1"),
    ],
)
def test_what_is_refused(browser, options, said):
    script = f"engine.nextToken(new Float32Array(3), {{ {options} }})"
    assert refusal(engine(browser), script) == f"RangeError: {said}"


# Random numbers -----------------------------------------------------------------------------------

LOW = 0xFFFFFFFF


def xorshift(seed: int, count: int) -> list[float]:
    """The same numbers in Python: Marsaglia's generator, and 53 bits from every two words."""
    state, word = [], (seed >> 32 ^ seed) & LOW
    for _ in range(4):
        word = (word + 0x9E3779B9) & LOW
        z = (word ^ word >> 16) * 0x85EBCA6B & LOW
        z = (z ^ z >> 13) * 0xC2B2AE35 & LOW
        state.append((z ^ z >> 16) & LOW)
    state[3] |= 1
    words = []
    for _ in range(2 * count):
        x, y, z, w = state
        t = (x ^ x << 11) & LOW
        state = [y, z, w, w ^ w >> 19 ^ t ^ t >> 8]
        words.append(state[3])
    pairs = zip(words[::2], words[1::2], strict=True)
    return [((a >> 5) * 2**26 + (b >> 6)) / 2**53 for a, b in pairs]


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**40 + 5])
def test_random_numbers_are_those_of_the_paper(browser, seed):
    script = "(s) => { const u = engine.randomNumbers(s); return Array.from({ length: 100 }, u); }"
    assert engine(browser).evaluate(script, seed) == xorshift(seed, 100)


def test_random_numbers_are_spread_evenly(browser):
    """A chi-squared test on 64 bins, each number alone and with its neighbour."""
    script = """() => { const u = engine.randomNumbers(7);
      return toText(Float64Array.from({ length: 64000 }, u)); }"""
    found = numbers(engine(browser).evaluate(script), np.float64)
    assert found.min() >= 0
    assert found.max() < 1
    alone = np.bincount((64 * found).astype(int), minlength=64)
    pairs = np.bincount((8 * found[::2]).astype(int) * 8 + (8 * found[1::2]).astype(int))
    for counts in (alone, pairs):
        assert len(counts) == 64
        assert 30 < ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 110  # 63 +- 11


def test_neighbouring_seeds_have_nothing_in_common(browser):
    script = "Array.from({ length: 500 }, (_, seed) => engine.randomNumbers(seed)())"
    firsts = np.array(engine(browser).evaluate(script))
    assert abs(np.corrcoef(firsts[1:], firsts[:-1])[0, 1]) < 0.15
    assert 0.45 < firsts.mean() < 0.55
