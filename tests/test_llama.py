from dataclasses import FrozenInstanceError, replace
from typing import Any

import decoder_cases as cases
import pytest
import torch
from decoder_cases import IDS, PAD, scattered
from refusals import refused
from torch.testing import assert_close
from transformers import LlamaConfig as TheirConfig
from transformers import LlamaForCausalLM
from underglass.attention import padding_mask
from underglass.models.llama import Llama, LlamaConfig, llama2_7b, llama3_8b

TINY = LlamaConfig(
    vocab_size=cases.VOCAB,
    max_len=11,
    d_model=24,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    d_ff=13,
    rotary_base=37.0,
)
KINDS = {
    "grouped": TINY,
    "a key head for each": replace(TINY, num_kv_heads=4),
    "one key head": replace(TINY, num_kv_heads=1),
    "tied": replace(TINY, tied=True),
}
NAMES = {
    "attention_norm": "input_layernorm",
    "attention.q_proj": "self_attn.q_proj",
    "attention.k_proj": "self_attn.k_proj",
    "attention.v_proj": "self_attn.v_proj",
    "attention.out_proj": "self_attn.o_proj",
    "feed_forward_norm": "post_attention_layernorm",
    "feed_forward.gate_proj": "mlp.gate_proj",
    "feed_forward.up_proj": "mlp.up_proj",
    "feed_forward.down_proj": "mlp.down_proj",
}


def their_name(name: str) -> str:
    if not name.startswith("blocks."):
        stem = name.removesuffix(".weight")
        outer = {"tokens": "model.embed_tokens", "norm": "model.norm", "output": "lm_head"}
        return f"{outer[stem]}.weight"
    _, layer, part = name.removesuffix(".weight").split(".", 2)
    return f"model.layers.{layer}.{NAMES[part]}.weight"


def transformers_twin(ours: Llama) -> LlamaForCausalLM:
    config = ours.config
    theirs = LlamaForCausalLM(
        TheirConfig(
            vocab_size=config.vocab_size,
            max_position_embeddings=config.max_len,
            hidden_size=config.d_model,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads,
            intermediate_size=config.d_ff,
            rms_norm_eps=config.eps,
            rope_parameters={"rope_type": "default", "rope_theta": config.rotary_base},
            tie_word_embeddings=config.tied,
            pad_token_id=None,
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    theirs.set_attn_implementation("eager")  # the one that returns weights
    theirs.double().eval()
    weights = {their_name(name): t for name, t in ours.state_dict().items()}
    if config.tied:
        weights["lm_head.weight"] = ours.tokens.weight
    theirs.load_state_dict(weights)
    return theirs


def as_near_as_float32(found: Any, expected: Any) -> None:
    """transformers' Llama computes sines, norms and softmax in float32 even in a float64 model."""
    assert_close(found, expected, atol=2e-5, rtol=2e-5)


# ----------------------------------------------------------------------- the same numbers


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("masked", [False, True])
def test_equals_transformers_forward_and_backward(config, masked):
    ours = scattered(Llama(config))
    theirs = transformers_twin(ours)
    mask = padding_mask(IDS, PAD) if masked else None
    logits, weights = ours(IDS, mask=mask, return_weights=True)
    expected = theirs(
        IDS, attention_mask=(IDS != PAD).long() if masked else None, output_attentions=True
    )
    as_near_as_float32(logits, expected.logits)
    assert_close(ours(IDS, mask=mask), logits)
    as_near_as_float32(list(weights), list(expected.attentions))
    logits.square().mean().backward()
    expected.logits.square().mean().backward()
    grads = {their_name(name): p.grad for name, p in ours.named_parameters()}
    for name, parameter in theirs.named_parameters():
        as_near_as_float32(grads[name], parameter.grad)


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("chunks", [[1, 1, 1, 1, 1], [3, 2], [1, 4]])
def test_the_cache_gives_the_same(config, chunks):
    cases.check_cache_gives_the_same(scattered(Llama(config)), IDS, chunks)


def test_padding_on_the_left_changes_nothing():
    cases.check_left_padding_changes_nothing(scattered(Llama(TINY)))


def test_only_distances_count():
    """All positions moved by the same number: the same logits, as rotary positions promise."""
    model = scattered(Llama(TINY))
    places = torch.arange(5).expand(3, 5)
    assert_close(model(IDS, positions=places + 6), model(IDS))
    apart = model(IDS, positions=places * 2)
    assert (apart - model(IDS)).abs().max() > 1e-3


def test_nothing_comes_from_the_future():
    cases.check_no_gradient_from_the_future(scattered(Llama(TINY)))


# ----------------------------------------------------------------------- sizes, types, chance


@pytest.mark.parametrize(
    ("config", "parameters"), [(llama2_7b(), 6_738_415_616), (llama3_8b(), 8_030_261_248)]
)
def test_published_sizes(config, parameters):
    with torch.device("meta"):
        model = Llama(config)
        logits = model(torch.zeros(2, 7, dtype=torch.int64))
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert logits.shape == (2, 7, config.vocab_size)


def test_tied_has_one_table_less():
    untied, tied = Llama(TINY), Llama(KINDS["tied"])
    sizes = [sum(p.numel() for p in model.parameters()) for model in (untied, tied)]
    assert sizes[0] - sizes[1] == 31 * 24


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtype_is_kept(dtype):
    assert Llama(TINY).to(dtype)(IDS).dtype == dtype


def test_a_generator_decides_the_initial_weights():
    first, second, other = (
        Llama(TINY, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    )
    for name, weight in first.named_parameters():
        assert_close(second.get_parameter(name), weight)
    assert not torch.equal(first.tokens.weight, other.tokens.weight)
    assert first.tokens.weight.std().item() == pytest.approx(0.02, rel=0.2)


# ----------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(vocab_size=0), "vocab_size=0: expected at least 1"),
        (dict(max_len=0), "max_len=0: expected at least 1"),
        (dict(d_model=-2), "d_model=-2: expected at least 1"),
        (dict(num_layers=0), "num_layers=0: expected at least 1"),
        (dict(num_heads=5), "d_model=24 is not divisible by num_heads=5"),
        (dict(num_kv_heads=3), "num_heads=4 is not divisible by num_kv_heads=3"),
        (dict(num_kv_heads=0), "num_heads=4 is not divisible by num_kv_heads=0"),
        (dict(num_heads=8, num_kv_heads=8), "d_model / num_heads = 3: expected an even number"),
        (dict(d_ff=0), "d_ff=0: expected at least 1"),
        (dict(rotary_base=1.0), "rotary_base=1.0: expected a number above 1"),
        (dict(eps=0.0), "eps=0.0: expected a number above 0"),
    ],
)
def test_wrong_configs_are_refused(change, message):
    with refused(ValueError, message):
        replace(TINY, **change)


def test_a_config_does_not_change():
    with pytest.raises(FrozenInstanceError):
        TINY.d_model = 5  # pyright: ignore[reportAttributeAccessIssue]


def test_wrong_ids_are_refused():
    model = Llama(TINY)
    with refused(ValueError, r"ids holds 31: expected numbers from 0 to 30 \(vocab_size=31\)"):
        model(torch.tensor([[1, 31]]))
    with refused(ValueError, "ids has 12 tokens: expected at most max_len=11"):
        model(torch.zeros(1, 12, dtype=torch.int64))
    with refused(TypeError, "ids is torch.float32: expected integers"):
        model(torch.zeros(1, 2))


def test_wrong_masks_positions_and_caches_are_refused():
    model = Llama(TINY)
    with refused(TypeError, "mask is torch.float32: expected torch.bool"):
        model(IDS, mask=torch.ones(3, 1, 5))
    with refused(ValueError, r"places has shape \(3, 1, 4\): expected one for each row"):
        model(IDS, positions=torch.zeros(3, 4, dtype=torch.int64))
    with refused(ValueError, "cache has 3 layers: expected num_layers=2"):
        model(IDS, cache=[*model.new_cache(), *model.new_cache()][:3])
