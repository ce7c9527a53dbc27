import math
from itertools import pairwise

import pytest
import torch
from refusals import refused
from torch.testing import assert_close
from underglass.models.baselines import (
    SkipGram,
    SkipGramConfig,
    draw_negatives,
    noise_distribution,
    skip_gram_pairs,
    subsample,
)

VOCAB, D_MODEL = 11, 5
F64 = torch.float64
CENTERS, CONTEXTS = torch.tensor([3, 0, 3]), torch.tensor([10, 2, 3])
NEGATIVES = torch.tensor([[1, 10], [4, 4], [3, 0]])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def scattered():
    model = SkipGram(SkipGramConfig(VOCAB, D_MODEL)).to(F64)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_()
    return model


# ----------------------------------------------------------------------- the loss


def test_loss_and_gradients_equal_the_formula():
    """Pair by pair, with the derivatives as the paper's section 2.2 has them, written out."""
    model = scattered()
    u, v = model.centers.weight.tolist(), model.contexts.weight.tolist()
    losses = []
    grad_u, grad_v = torch.zeros(VOCAB, D_MODEL, dtype=F64), torch.zeros(VOCAB, D_MODEL, dtype=F64)
    for center, context, negatives in zip(
        CENTERS.tolist(), CONTEXTS.tolist(), NEGATIVES.tolist(), strict=True
    ):
        loss = 0.0
        for word, label in [(context, 1), *((n, 0) for n in negatives)]:
            score = sum(a * b for a, b in zip(u[center], v[word], strict=True))
            p = 1 / (1 + math.exp(-score))
            loss -= math.log(p if label else 1 - p)
            grad_u[center] += (p - label) * torch.tensor(v[word], dtype=F64)
            grad_v[word] += (p - label) * torch.tensor(u[center], dtype=F64)
        losses.append(loss)
    found = model(CENTERS, CONTEXTS, NEGATIVES)
    assert_close(found, torch.tensor(losses, dtype=F64))
    found.sum().backward()
    assert_close(model.centers.weight.grad, grad_u)
    assert_close(model.contexts.weight.grad, grad_v)


def test_large_scores_stay_finite():
    model = SkipGram(SkipGramConfig(VOCAB, D_MODEL))
    with torch.no_grad():
        model.centers.weight.fill_(20.0)
        model.contexts.weight.fill_(20.0)
    losses = model(CENTERS, CONTEXTS, NEGATIVES)  # a score of 2000: its sigmoid is 1
    assert_close(losses, torch.full((3,), 4000.0))


def test_vectors_are_the_centers():
    model = scattered()
    assert torch.equal(model.vectors, model.centers.weight)
    assert not model.vectors.requires_grad


def test_at_first_every_pair_is_a_guess():
    losses = SkipGram(SkipGramConfig(VOCAB, D_MODEL))(CENTERS, CONTEXTS, NEGATIVES)
    assert_close(losses, torch.full((3,), 3 * math.log(2)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtype_is_kept(dtype):
    model = SkipGram(SkipGramConfig(VOCAB, D_MODEL)).to(dtype)
    assert model(CENTERS, CONTEXTS, NEGATIVES).dtype == dtype


def test_runs_on_the_meta_device():
    with torch.device("meta"):
        model = SkipGram(SkipGramConfig(VOCAB, D_MODEL))
    assert model(*(ids.to("meta") for ids in (CENTERS, CONTEXTS, NEGATIVES))).shape == (3,)


def test_a_generator_decides_the_initial_vectors():
    first, second, other = (
        SkipGram(SkipGramConfig(VOCAB, 50), generator=seeded(s)) for s in (1, 1, 2)
    )
    assert torch.equal(first.vectors, second.vectors)
    assert not torch.equal(first.vectors, other.vectors)
    assert 0.009 < first.vectors.abs().max() < 0.01


# ----------------------------------------------------------------------- pairs


def counted(pairs):
    return sorted(zip(*(ids.tolist() for ids in pairs), strict=True))


def test_pairs_of_neighbours():
    found = skip_gram_pairs(torch.tensor([5, 6, 7, 6]), 1)
    assert counted(found) == [(5, 6), (6, 5), (6, 7), (6, 7), (7, 6), (7, 6)]


def test_pairs_are_as_far_apart_as_each_centre_s_draw_allows():
    ids, window = torch.arange(997), 5
    found = counted(skip_gram_pairs(ids, window, generator=seeded(3)))
    reach = torch.randint(1, window + 1, (997,), generator=seeded(3)).tolist()
    assert found == [(i, j) for i in range(997) for j in range(997) if 0 < abs(i - j) <= reach[i]]
    # On average a word at distance k is taken with chance (window - k + 1) / window.
    for distance in range(1, window + 1):
        share = sum(abs(i - j) == distance for i, j in found) / (2 * 997)
        assert share == pytest.approx((window - distance + 1) / window, abs=0.05)


def test_a_window_may_be_wider_than_the_text():
    found = skip_gram_pairs(torch.tensor([4, 5]), 100)
    assert counted(found) == [(4, 5), (5, 4)]
    for text in ([], [3]):
        centers, contexts = skip_gram_pairs(torch.tensor(text, dtype=torch.int64), 2)
        assert centers.shape == contexts.shape == (0,)


def test_noise_is_the_counts_to_the_power_of_three_quarters():
    found = noise_distribution(torch.tensor([16, 0, 1, 81]))
    assert_close(found, torch.tensor([8, 0, 1, 27], dtype=F64) / 36)
    found = noise_distribution(torch.tensor([16, 0, 1, 81]), power=0.0)
    assert_close(found, torch.tensor([1, 0, 1, 1], dtype=F64) / 3)


def test_negatives_are_drawn_from_the_noise():
    noise = noise_distribution(torch.tensor([16, 0, 1, 81]))
    found = draw_negatives(noise, 1009, 7, generator=seeded())
    assert found.shape == (1009, 7)
    shares = found.flatten().bincount(minlength=4) / found.numel()
    # Four standard deviations of a share in 7063 draws are below 0.021.
    assert_close(shares.double(), noise, atol=0.021, rtol=0.0)
    assert shares[1] == 0
    assert torch.equal(found, draw_negatives(noise, 1009, 7, generator=seeded()))
    assert not torch.equal(found, draw_negatives(noise, 1009, 7, generator=seeded(1)))


def test_frequent_words_are_left_out_by_their_share():
    counts = torch.tensor([900_000, 99_990, 10])
    ids = torch.tensor([0, 1, 2]).repeat(10_007)
    found = subsample(ids, counts, threshold=1e-2, generator=seeded())
    kept = found.bincount() / 10_007
    expected = torch.tensor([(1e-2 / 0.9) ** 0.5, (1e-2 / 0.09999) ** 0.5, 1.0])
    # Four standard deviations of a share in 10007 draws are below 0.02.
    assert_close(kept, expected, atol=0.02, rtol=0.0)
    assert kept[2] == 1
    assert torch.equal(found, subsample(ids, counts, threshold=1e-2, generator=seeded()))
    assert not torch.equal(found, subsample(ids, counts, threshold=1e-2, generator=seeded(1)))


def test_what_is_kept_stays_in_order():
    ids = torch.arange(101)
    kept = subsample(ids, torch.ones(101).long(), threshold=1e-3, generator=seeded())
    assert 10 < len(kept) < 60
    assert all(a < b for a, b in pairwise(kept.tolist()))


# ----------------------------------------------------------------------- training


def test_words_of_the_same_surroundings_come_together():
    """0 and 1 stand among 4, 5 and 6; 2 and 3 among 7, 8 and 9; no two of them side by side."""
    generator, text = seeded(), []
    for _ in range(300):
        side = int(torch.randint(2, (), generator=generator))
        word, left, right = torch.randint(6, (3,), generator=generator).tolist()
        text += [4 + 3 * side + left % 3, 2 * side + word % 2, 4 + 3 * side + right % 3, 10]
    ids = torch.tensor(text)
    centers, contexts = skip_gram_pairs(ids, 1, generator=generator)
    noise = noise_distribution(ids.bincount())
    model = SkipGram(SkipGramConfig(VOCAB, d_model=31), generator=generator)
    assert cosines(model)[[0, 2], [1, 3]].max() < 0.4
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(60):
        negatives = draw_negatives(noise, len(centers), generator=generator)
        optimizer.zero_grad()
        model(centers, contexts, negatives).mean().backward()
        optimizer.step()
    found = cosines(model)
    assert found[[0, 2], [1, 3]].min() > 0.95
    assert found[:2, 2:].max() < 0.6


def cosines(model):
    unit = torch.nn.functional.normalize(model.vectors[:4], dim=1)
    return unit @ unit.mT


# ----------------------------------------------------------------------- refusals


@pytest.mark.parametrize("name", ["vocab_size", "d_model"])
def test_wrong_configs_are_refused(name):
    with refused(ValueError, f"{name}=0: expected at least 1"):
        SkipGramConfig(**{"vocab_size": VOCAB, name: 0})


def test_wrong_words_are_refused():
    model = SkipGram(SkipGramConfig(VOCAB, D_MODEL))
    for wrong in (
        (CENTERS[:2], CONTEXTS, NEGATIVES),
        (CENTERS, CONTEXTS, NEGATIVES[:2]),
        (CENTERS, CONTEXTS, NEGATIVES[:, 0]),
        (CENTERS[:, None], CONTEXTS[:, None], NEGATIVES),
    ):
        with refused(ValueError, r"centers \(.*: expected \[pair\], \[pair\], \[pair num_neg"):
            model(*wrong)
    with refused(ValueError, r"centers holds 11: expected numbers from 0 to 10 \(vocab_size=11\)"):
        model(CENTERS + 8, CONTEXTS, NEGATIVES)
    with refused(ValueError, "contexts holds -1: expected numbers from 0 to 10"):
        model(CENTERS, CONTEXTS - 3, NEGATIVES)
    with refused(ValueError, "negatives holds 11: expected numbers from 0 to 10"):
        model(CENTERS, CONTEXTS, NEGATIVES + 1)
    with refused(TypeError, "negatives is torch.float32: expected integers"):
        model(CENTERS, CONTEXTS, NEGATIVES.float())


def test_wrong_texts_are_refused():
    counts = torch.ones(3).long()
    for function in (lambda ids: skip_gram_pairs(ids, 2), lambda ids: subsample(ids, counts)):
        with refused(ValueError, r"ids has shape \(1, 2\): expected \[seq\], one text"):
            function(torch.tensor([[0, 1]]))
        with refused(TypeError, "ids is torch.float32: expected integers"):
            function(torch.zeros(2))
    with refused(ValueError, "window=0: expected at least 1 word"):
        skip_gram_pairs(torch.tensor([0, 1]), 0)
    with refused(ValueError, "threshold=0.0: expected a number above 0"):
        subsample(torch.tensor([0, 1]), counts, threshold=0.0)
    with refused(ValueError, "ids holds 3: expected numbers from 0 to 2"):
        subsample(torch.tensor([0, 3]), counts)


@pytest.mark.parametrize("counts", [[-1, 3], [0, 0], [], [[1]]])
def test_wrong_counts_are_refused(counts):
    counts = torch.tensor(counts, dtype=torch.int64)
    with refused(ValueError, r"counts is \[.*: expected how often each word occurs, none below 0"):
        noise_distribution(counts)
    with refused(ValueError, r"counts is \[.*: expected how often each word occurs, none below 0"):
        subsample(torch.tensor([0]), counts)


def test_wrong_numbers_of_negatives_are_refused():
    noise = noise_distribution(torch.tensor([1, 2]))
    with refused(ValueError, "num_pairs=0: expected at least 1"):
        draw_negatives(noise, 0)
    with refused(ValueError, "num_negatives=-2: expected at least 1"):
        draw_negatives(noise, 3, -2)
