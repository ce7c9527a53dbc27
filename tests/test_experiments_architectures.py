"""Decoders of chosen parts: some are models of the library, and each choice does one thing."""

import math
from typing import Any

import pytest
import torch
from refusals import refused
from torch import nn
from underglass.experiments.architectures import ArchitectureRecipe, Decoder, Design, flops
from underglass.experiments.architectures_plans import CHAIN, chain, depth
from underglass.models.gpt import GPT, GPTConfig
from underglass.models.llama import Llama, LlamaConfig

IDS = torch.tensor([[5, 1, 7, 7, 300, 2]])
GPT2: dict[str, Any] = {"positions": "learned", "feed_forward": "gelu", "norms": "before"}
LLAMA: dict[str, Any] = GPT2 | {
    "positions": "rotary",
    "norm": "rms",
    "feed_forward": "swiglu",
    "biases": False,
    "num_kv_heads": 2,
    "tied": False,
}


def test_a_design_of_gpt_2_is_the_librarys_gpt():
    decoder = Decoder(Design(**GPT2), seed=0)
    config = GPTConfig(512, 64, 64, 4, 4, 256, dropout=0.0, activation="gelu")
    gpt = GPT(config)
    gpt.load_state_dict(decoder.state_dict())
    torch.testing.assert_close(decoder(IDS), gpt(IDS))


def test_a_design_of_today_is_the_librarys_llama():
    decoder = Decoder(Design(**LLAMA), seed=0)
    llama = Llama(LlamaConfig(512, 64, 64, 4, 4, 2, d_ff=171))
    llama.load_state_dict(decoder.state_dict())
    torch.testing.assert_close(decoder(IDS), llama(IDS))


def test_the_decoder_of_2017_is_torchs_encoder_layer_with_a_causal_mask():
    """Torch's layer of 1706.03762, given our weights, with our embedding before and table after."""
    design = Design(num_layers=1)
    decoder = Decoder(design, seed=0)
    layer = nn.TransformerEncoderLayer(64, 4, 256, dropout=0.0, batch_first=True)
    own: Any = decoder.blocks[0]
    attention = own.attention
    with torch.no_grad():
        layer.self_attn.in_proj_weight.copy_(
            torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight])
        )
        layer.self_attn.out_proj.weight.copy_(attention.out_proj.weight)
        layer.linear1.weight.copy_(own.feed_forward.in_proj.weight)
        layer.linear2.weight.copy_(own.feed_forward.out_proj.weight)
        for bias in (layer.self_attn.in_proj_bias, layer.self_attn.out_proj.bias):
            bias.zero_()
        layer.linear1.bias.zero_()
        layer.linear2.bias.zero_()
        x = math.sqrt(64) * decoder.tokens(IDS)
        angles = torch.arange(6)[:, None] / 10000 ** (torch.arange(0, 64, 2) / 64)
        x = x + torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
        mask = torch.ones(6, 6, dtype=torch.bool).triu(1)
        wanted = layer(x, src_mask=mask) @ decoder.tokens.weight.T
    torch.testing.assert_close(decoder(IDS), wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("change", CHAIN)
def test_no_design_looks_ahead(change):
    design: dict[str, Any] = {}
    for name, own in CHAIN.items():
        design |= own
        if name == change:
            break
    decoder = Decoder(Design(**design), seed=0)
    other = IDS.clone()
    other[0, 4] = 9
    torch.testing.assert_close(decoder(IDS)[:, :4], decoder(other)[:, :4])
    assert (decoder(IDS)[:, 4:] - decoder(other)[:, 4:]).abs().max() > 1e-3


def test_the_chain_ends_with_todays_decoder_and_passes_gpt_2():
    recipes: Any = {settings["change"]: recipe for settings, recipe in chain().recipes}
    assert recipes["2017"].design == {}
    assert recipes["norms before"].design == GPT2
    assert recipes["untied output"].design == LLAMA


def test_the_designs_cost_nearly_the_same():
    """So that equal steps are nearly equal operations."""
    recipes: Any = chain().recipes
    costs = [flops(Decoder(Design(**recipe.design), seed=0)) for _, recipe in recipes]
    assert min(costs) > 0.93 * max(costs)


def test_flops_are_two_for_each_weight_that_a_token_meets_and_for_each_pair_of_tokens():
    design = Design(**GPT2)
    matrices = 4 * (4 * 64 * 64 + 2 * 64 * 256) + 512 * 64
    pairs = 4 * 2 * 64 * 64  # layers; q k and weights v; tokens; width
    assert flops(Decoder(design, seed=0)) == 2 * (matrices + pairs)


def test_depths_differ_in_norms_layers_and_warm_up_alone():
    pairs: Any = depth().recipes
    recipes = [recipe for _, recipe in pairs]
    assert len({(r.rate, r.steps, r.rows) for r in recipes}) == 1
    assert {r.warmup for r in recipes} == {0.0, 0.1}
    for settings, recipe in pairs:
        assert recipe.design["norms"] == settings["norms"]
        assert recipe.design["num_layers"] == settings["layers"]
        assert (recipe.warmup > 0) == settings["warmup"]


def test_an_unknown_choice_is_refused():
    with refused(ValueError, "norms='between': expected one of after, before"):
        Design(norms="between")
    with refused(ValueError, "positions='none': expected one of sinusoidal, learned, rotary"):
        Design(positions="none")


def test_the_seed_decides_a_run():
    recipe = ArchitectureRecipe(0.003, 2, GPT2 | {"num_layers": 1}, rows=2, validations=1)
    histories = [recipe.run(seed)[0] for seed in (0, 0, 1)]
    assert histories[0].loss == histories[1].loss != histories[2].loss
