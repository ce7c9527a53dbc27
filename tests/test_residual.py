from dataclasses import replace
from typing import Any

import pytest
import torch
from decoder_cases import F64, IDS, VOCAB, scattered
from refusals import refused
from torch.testing import assert_close
from underglass.models.bert import BERT, BERTConfig
from underglass.models.gpt import GPT, GPTConfig
from underglass.models.llama import Llama, LlamaConfig
from underglass.models.residual import trace

LAYERS, D_MODEL = 3, 12
SIZES: dict[str, Any] = {
    "vocab_size": VOCAB,
    "d_model": D_MODEL,
    "num_layers": LAYERS,
    "d_ff": 17,
    "max_len": 11,
}
MODELS = {
    "gpt": lambda: scattered(GPT(GPTConfig(**SIZES, num_heads=3))),
    "llama": lambda: scattered(Llama(LlamaConfig(**SIZES, num_heads=3, num_kv_heads=1))),
    "llama, tied": lambda: scattered(
        Llama(LlamaConfig(**SIZES, num_heads=3, num_kv_heads=3, tied=True))
    ),
}


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]()


def test_the_parts_add_up_to_the_stream(model):
    found = trace(model, IDS)
    assert found.stream.shape == (LAYERS + 1, *IDS.shape, D_MODEL)
    assert found.attention.shape == found.feed_forward.shape == (LAYERS, *IDS.shape, D_MODEL)
    total = found.stream[0]
    for layer in range(LAYERS):
        assert_close(found.between[layer], total + found.attention[layer])
        total = total + found.attention[layer] + found.feed_forward[layer]
        assert_close(found.stream[layer + 1], total)
    assert min(x.abs().max() for x in (*found.attention, *found.feed_forward)) > 0.01


def test_each_part_is_what_its_module_makes_of_the_normed_stream(model):
    """Computed once more, block by block, from the trace's own stream."""
    found = trace(model, IDS)
    mask = torch.ones(IDS.shape[1], IDS.shape[1], dtype=torch.bool).tril()
    for layer, block in enumerate(model.blocks):
        attended = block.attention(block.attention_norm(found.stream[layer]), mask=mask)
        assert_close(found.attention[layer], attended)
        added = block.feed_forward(block.feed_forward_norm(found.between[layer]))
        assert_close(found.feed_forward[layer], added)


def test_the_stream_begins_with_the_embedding():
    gpt, llama = MODELS["gpt"](), MODELS["llama"]()
    positions = torch.arange(IDS.shape[1])
    embedded = gpt.tokens.weight[IDS] + gpt.positions.weight[positions]
    assert_close(trace(gpt, IDS).stream[0], embedded)
    assert_close(trace(llama, IDS).stream[0], llama.tokens.weight[IDS])


def test_the_lens_at_the_end_gives_the_model_s_logits(model):
    found = trace(model, IDS)
    assert_close(found.logits[-1], model(IDS))
    assert_close(found.lens(found.stream[1]), found.logits[1])
    assert not found.logits.isclose(found.logits[-1]).all(dim=-1)[:-1].any()


def test_the_lens_is_the_model_that_stops_there(model):
    """A model with its last blocks taken away says what the lens said at that place."""
    found = trace(model, IDS)
    for layer in reversed(range(LAYERS)):
        model.blocks = model.blocks[:layer]
        if layer:
            assert_close(found.logits[layer], model(IDS))


def test_a_model_is_left_as_it_was(model):
    model.train()
    model.blocks[1].eval()  # frozen, as in fine-tuning
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    first, second = trace(model, IDS), trace(model, IDS)
    assert_close(first.stream, second.stream, rtol=0, atol=0)  # no dropout
    assert [module.training for module in model.modules()] == modes
    for module in model.modules():
        assert len(module._forward_hooks) == len(module._forward_pre_hooks) == 0
    for name, tensor in model.state_dict().items():
        assert_close(tensor, before[name], rtol=0, atol=0)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert [found.requires_grad for found in (first.stream, first.logits)] == [False, False]


def test_hooks_are_gone_after_an_error():
    gpt = MODELS["gpt"]()
    with refused(ValueError, "ids holds 31: expected numbers from 0 to 30"):
        trace(gpt, IDS + 1)
    for module in gpt.modules():
        assert len(module._forward_hooks) == len(module._forward_pre_hooks) == 0


def test_a_hook_of_the_reader_s_stays():
    gpt, heard = MODELS["gpt"](), []
    gpt.blocks[0].register_forward_hook(lambda *_: heard.append(1))
    trace(gpt, IDS)
    gpt(IDS)
    assert len(heard) == 2


def test_one_layer_one_token_and_half_precision():
    gpt = GPT(replace(GPTConfig(**SIZES, num_heads=3), num_layers=1)).to(torch.bfloat16)
    found = trace(gpt, IDS[:1, :1])
    assert found.stream.shape == (2, 1, 1, D_MODEL)
    assert found.logits.dtype == torch.bfloat16


def test_on_the_meta_device():
    with torch.device("meta"):
        found = trace(
            GPT(GPTConfig(**SIZES, num_heads=3)).to(F64), torch.zeros(2, 5, dtype=torch.int)
        )
    assert found.logits.device.type == "meta"
    assert found.logits.shape == (LAYERS + 1, 2, 5, VOCAB)


def test_models_whose_norms_stand_behind_the_sums_are_refused():
    bert = BERT(BERTConfig(**SIZES, num_heads=3))
    with refused(TypeError, "model is a BERT: expected a GPT or a Llama, whose blocks only add"):
        trace(bert, IDS)  # pyright: ignore[reportArgumentType]
