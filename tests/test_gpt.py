from dataclasses import FrozenInstanceError, replace

import decoder_cases as cases
import pytest
import torch
from decoder_cases import F64, IDS, PAD, scattered
from refusals import refused
from torch.testing import assert_close
from transformers import GPT2Config, GPT2LMHeadModel
from underglass.attention import padding_mask
from underglass.models.gpt import GPT, GPTConfig, gpt2_small

TINY = GPTConfig(
    vocab_size=cases.VOCAB, max_len=11, d_model=21, num_layers=2, num_heads=3, d_ff=13, dropout=0.0
)


def transformers_twin(ours: GPT) -> GPT2LMHeadModel:
    config = ours.config
    theirs = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.max_len,
            n_embd=config.d_model,
            n_layer=config.num_layers,
            n_head=config.num_heads,
            n_inner=config.d_ff,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    theirs.set_attn_implementation("eager")  # the one that returns weights
    theirs.double().eval()
    theirs.load_state_dict(in_their_names(dict(ours.state_dict())))
    return theirs


def in_their_names(ours: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """GPT-2's names; its matrices are [input output], and q, k and v are one."""
    names = {"tokens.weight": "wte.weight", "positions.weight": "wpe.weight"}
    names |= {f"norm.{kind}": f"ln_f.{kind}" for kind in ("weight", "bias")}
    theirs = {f"transformer.{names[name]}": ours[name] for name in names}
    theirs["lm_head.weight"] = ours["tokens.weight"]
    for layer in range(TINY.num_layers):
        mine, other = f"blocks.{layer}", f"transformer.h.{layer}"
        for kind in ("weight", "bias"):
            theirs[f"{other}.ln_1.{kind}"] = ours[f"{mine}.attention_norm.{kind}"]
            theirs[f"{other}.ln_2.{kind}"] = ours[f"{mine}.feed_forward_norm.{kind}"]
            joined = [turned(ours[f"{mine}.attention.{p}_proj.{kind}"]) for p in "qkv"]
            theirs[f"{other}.attn.c_attn.{kind}"] = torch.cat(joined, dim=-1)
            for name, part in (
                ("attn.c_proj", "attention.out_proj"),
                ("mlp.c_fc", "feed_forward.in_proj"),
                ("mlp.c_proj", "feed_forward.out_proj"),
            ):
                theirs[f"{other}.{name}.{kind}"] = turned(ours[f"{mine}.{part}.{kind}"])
    return theirs


def turned(weight: torch.Tensor) -> torch.Tensor:
    return weight.T if weight.ndim == 2 else weight


# ----------------------------------------------------------------------- the same numbers


@pytest.mark.parametrize("masked", [False, True])
def test_equals_transformers_forward_and_backward(masked):
    ours = scattered(GPT(TINY))
    theirs = transformers_twin(ours)
    mask = padding_mask(IDS, PAD) if masked else None
    logits, weights = ours(IDS, mask=mask, return_weights=True)
    expected = theirs(
        IDS, attention_mask=(IDS != PAD).long() if masked else None, output_attentions=True
    )
    assert_close(logits, expected.logits)
    assert_close(ours(IDS, mask=mask), expected.logits)
    assert_close(list(weights), list(expected.attentions))
    logits.square().sum().backward()
    expected.logits.square().sum().backward()
    grads = {name: p.grad for name, p in ours.named_parameters() if p.grad is not None}
    grads = in_their_names(grads)
    for name, parameter in theirs.named_parameters():
        assert_close(grads[name], parameter.grad)


def test_equals_transformers_with_positions_and_padding_on_the_left():
    ours = scattered(GPT(TINY))
    ids, places = cases.left_padded(IDS)
    logits = ours(ids, mask=padding_mask(ids, PAD), positions=places)
    expected = transformers_twin(ours)(
        ids, attention_mask=(ids != PAD).long(), position_ids=places
    ).logits
    assert_close(logits[ids != PAD], expected[ids != PAD])


@pytest.mark.parametrize("chunks", [[1, 1, 1, 1, 1], [3, 2], [1, 4]])
def test_the_cache_gives_the_same(chunks):
    cases.check_cache_gives_the_same(scattered(GPT(TINY)), IDS, chunks)


def test_padding_on_the_left_changes_nothing():
    cases.check_left_padding_changes_nothing(scattered(GPT(TINY)))


def test_nothing_comes_from_the_future():
    cases.check_no_gradient_from_the_future(scattered(GPT(TINY)))


# ----------------------------------------------------------------------- sizes, types, chance


def test_gpt2_small_has_the_published_number_of_parameters():
    with torch.device("meta"):
        model = GPT(gpt2_small())
        logits, weights = model(torch.zeros(2, 7, dtype=torch.int64), return_weights=True)
    assert sum(p.numel() for p in model.parameters()) == 124_439_808
    assert logits.shape == (2, 7, 50257)
    assert [w.shape for w in weights] == [(2, 12, 7, 7)] * 12


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtype_is_kept(dtype):
    assert GPT(TINY).to(dtype)(IDS).dtype == dtype


def test_ids_may_be_of_any_integer_type():
    model = scattered(GPT(TINY))
    assert_close(model(IDS.int()), model(IDS))


def test_a_generator_decides_the_initial_weights():
    first, second, other = (
        GPT(TINY, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    )
    for name, weight in first.named_parameters():
        assert_close(second.get_parameter(name), weight)
    assert not torch.equal(first.tokens.weight, other.tokens.weight)


def test_initial_weights_are_gpt2_s():
    """0.02 everywhere, and less where a layer adds to x: 0.02 / sqrt(2 layers)."""
    model = GPT(replace(TINY, d_model=96, d_ff=192, num_layers=8))
    spread = {name: float(p.detach().std()) for name, p in model.named_parameters() if p.ndim == 2}
    for name, std in spread.items():
        expected = 0.02 / 4 if name.endswith("out_proj.weight") else 0.02
        assert std == pytest.approx(expected, rel=0.1), name
    assert sum(name.endswith("out_proj.weight") for name in spread) == 16


def test_dropout_works_in_training_only():
    model = GPT(replace(TINY, dropout=0.5)).to(F64)
    assert not torch.equal(model(IDS), model(IDS))
    model.eval()
    assert torch.equal(model(IDS), model(IDS))


# ----------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(vocab_size=0), "vocab_size=0: expected at least 1"),
        (dict(max_len=-1), "max_len=-1: expected at least 1"),
        (dict(d_model=0), "d_model=0: expected at least 1"),
        (dict(num_layers=0), "num_layers=0: expected at least 1"),
        (dict(num_heads=4), "d_model=21 is not divisible by num_heads=4"),
        (dict(d_ff=0), "d_ff=0: expected at least 1"),
        (dict(dropout=1.0), "dropout=1.0: expected a share from 0"),
        (dict(activation="tanh"), "activation='tanh': expected one of relu, gelu"),
        (dict(eps=-1.0), "eps=-1.0: expected a number above 0"),
    ],
)
def test_wrong_configs_are_refused(change, message):
    with refused(ValueError, message):
        replace(TINY, **change)


def test_a_config_does_not_change():
    with pytest.raises(FrozenInstanceError):
        TINY.d_model = 5  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([[1, 2]], TypeError, "ids is a list: expected a tensor of token ids"),
        (torch.ones(1, 2), TypeError, "ids is torch.float32: expected integers"),
        (torch.tensor([1, 2]), ValueError, r"ids has shape \(2,\): expected \[batch seq\]"),
        (torch.zeros(2, 0, dtype=torch.int64), ValueError, r"ids has shape \(2, 0\)"),
        (torch.tensor([[1, 31]]), ValueError, r"ids holds 31: expected numbers from 0 to 30"),
        (torch.zeros(1, 12, dtype=torch.int64), ValueError, "has 12 tokens: expected at most max_"),
    ],
)
def test_wrong_ids_are_refused(ids, error, message):
    with refused(error, message):
        GPT(TINY)(ids)


def test_wrong_masks_are_refused():
    model = GPT(TINY)
    with refused(TypeError, "mask is torch.int64: expected torch.bool"):
        model(IDS, mask=torch.ones(3, 1, 5, dtype=torch.int64))
    with refused(ValueError, r"mask has shape \(3, 1, 4\): expected .* = \(3, 5, 5\)"):
        model(IDS, mask=torch.ones(3, 1, 4, dtype=torch.bool))
    with refused(ValueError, r"mask has shape \(2, 1, 5\)|mask has shape \(2, 5, 5\)"):
        model(IDS, mask=torch.ones(2, 1, 5, dtype=torch.bool))


def test_wrong_positions_are_refused():
    model = GPT(TINY)
    with refused(ValueError, r"places holds 11: expected numbers from 0 to 10 \(max_len=11\)"):
        model(IDS, positions=torch.full((3, 5), 11))
    with refused(ValueError, r"places has shape \(3, 4\): expected one for each row"):
        model(IDS, positions=torch.zeros(3, 4, dtype=torch.int64))
    with refused(TypeError, "places is torch.float32: expected integers"):
        model(IDS, positions=torch.zeros(3, 5))


def test_wrong_caches_are_refused():
    model = GPT(TINY)
    with refused(ValueError, "cache has 1 layers: expected num_layers=2"):
        model(IDS, cache=model.new_cache()[:1])
    full = model.new_cache()
    model(torch.zeros(3, 9, dtype=torch.int64), cache=full)
    with refused(ValueError, "ids has 5 tokens behind 9 cached ones: expected at most max_len=11"):
        model(IDS, cache=full)
    with refused(ValueError, "room for max_len=3 positions: 0 are taken, 5 more do not fit"):
        model(IDS, cache=model.new_cache(max_len=3))
    with refused(ValueError, r"cache has layers of \[0, 9\] positions: expected one length"):
        model(IDS, cache=[full[0], model.new_cache()[0]])
    with refused(ValueError, "max_len=0: expected room for at least one position"):
        model.new_cache(max_len=0)
