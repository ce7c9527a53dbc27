"""Freezing and layer-wise rates."""

import math

import pytest
import torch
from finetuning_cases import MODELS, answer, scattered, trained, values
from refusals import refused
from torch import nn
from underglass import schedules
from underglass.finetuning import (
    count_trained,
    depth_of_parameters,
    freeze,
    layerwise_groups,
    unfreeze,
)
from underglass.optimizers import SGD, AdamW

# ----------------------------------------------------------------------- freezing


def test_frozen_parts_do_not_move_and_others_do():
    model = scattered("classifier")
    freeze(model, "bert")
    assert trained(model) == {"classifier.weight", "classifier.bias"}
    before = values(model)
    answer(model).square().sum().backward()
    AdamW(model.parameters(), lr=0.1).step()
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == trained(model)


def in_blocks(*ends: str) -> set[str]:
    return {f"blocks.{index}.{end}" for index in (0, 1) for end in ends}


@pytest.mark.parametrize(
    ("patterns", "frozen"),
    [
        (["tokens"], {"tokens.weight"}),
        (["tokens.weight"], {"tokens.weight"}),
        (["norm"], {"norm.weight", "norm.bias"}),  # not attention_norm
        (["q_proj.bias"], in_blocks("attention.q_proj.bias")),
        (["attention.?_proj.bias"], in_blocks(*(f"attention.{x}_proj.bias" for x in "qkv"))),
        (["*_norm.weight"], in_blocks("attention_norm.weight", "feed_forward_norm.weight")),
        (["*bias"], None),
        (["tokens", "positions"], {"tokens.weight", "positions.weight"}),
    ],
    ids=str,
)
def test_patterns(patterns, frozen):
    model = scattered("gpt")
    everything = trained(model)
    freeze(model, *patterns)
    biases = {name for name in everything if name.endswith("bias")}
    assert everything - trained(model) == (biases if frozen is None else frozen)
    unfreeze(model, *patterns)
    assert trained(model) == everything


def test_a_whole_name_means_only_itself():
    """The output's bias of a model for masked words; "norm" is its head's, not BERT's."""
    model = scattered("masked")
    freeze(model)
    unfreeze(model, "bias", "norm")
    assert trained(model) == {"bias", "norm.weight", "norm.bias"}
    unfreeze(model, "*.bias")
    assert "bert.blocks.0.attention.q_proj.bias" in trained(model)


def test_a_block_is_all_that_is_in_it():
    model = scattered("gpt")
    freeze(model, "blocks.1")
    assert not any(name.startswith("blocks.1.") for name in trained(model))
    assert len(trained(model)) == 2 + 2 + 16  # two tables, the last norm, the other block


def test_all_and_none():
    model = scattered("bert")
    size = sum(p.numel() for p in model.parameters())
    assert count_trained(model) == size
    freeze(model)
    assert count_trained(model) == 0
    unfreeze(model, "pooler")
    assert count_trained(model) == 12 * 12 + 12
    unfreeze(model)
    assert count_trained(model) == size


def test_a_wrong_pattern_is_refused_before_anything_changes():
    model = scattered("gpt")
    everything = trained(model)
    message = "patterns: 'embeddings' matches no parameter or module of this model: expected one of"
    with refused(ValueError, f"{message} tokens, weight, positions, .*q_proj"):
        freeze(model, "blocks.0", "embeddings")
    with refused(ValueError, "patterns: 'query' matches no"):
        unfreeze(model, "query")
    assert trained(model) == everything


# ----------------------------------------------------------------------- layer-wise rates

LAST = {  # what comes after the last block
    "bert": {"pooler.weight", "pooler.bias"},
    "classifier": {"bert.pooler.weight", "bert.pooler.bias", "classifier.weight"}
    | {"classifier.bias"},
    "masked": {"bert.pooler.weight", "bert.pooler.bias", "transform.weight", "transform.bias"}
    | {"norm.weight", "norm.bias", "bias"},
    "gpt": {"norm.weight", "norm.bias"},
    "llama": {"norm.weight", "output.weight"},
    "seq2seq": {"bias"},
}


@pytest.mark.parametrize("kind", MODELS)
def test_depths(kind):
    """The tables (and BERT's norm of their sum) at the bottom, blocks in order, heads on top."""
    model = scattered(kind)
    depths = depth_of_parameters(model)
    assert depths.keys() == values(model).keys()
    top = 5 if kind == "seq2seq" else 3
    assert {name for name, depth in depths.items() if depth == top} == LAST[kind]
    for name, depth in depths.items():
        if 0 < depth < top:
            index = int(name.removeprefix("bert.").split(".")[1])
            assert depth == index + 1 + (2 if name.startswith("decoder") else 0)
            assert name.removeprefix("bert.").startswith(("blocks.", "encoder.", "decoder."))
    bottom = {name.removeprefix("bert.") for name, depth in depths.items() if depth == 0}
    tables = {"tokens.weight"} | (
        {"positions.weight"} if kind not in ("llama", "seq2seq") else set()
    )
    if kind in ("bert", "classifier", "masked"):
        tables |= {"segments.weight", "norm.weight", "norm.bias"}
    assert bottom == tables


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("weight_decay", [None, 0.01])
def test_each_parameter_is_in_one_group_with_its_rate(kind, weight_decay):
    model = scattered(kind)
    groups = layerwise_groups(model, 0.3, decay=0.5, weight_decay=weight_decay)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(rates)
    depths = depth_of_parameters(model)
    top = max(depths.values())
    for name, parameter in model.named_parameters():
        assert rates[id(parameter)] == pytest.approx(0.3 * 0.5 ** (top - depths[name]))
    assert [group["lr"] for group in groups] == sorted(group["lr"] for group in groups)
    for group in groups:
        if weight_decay is None:
            assert group.keys() == {"params", "lr"}
        else:
            wanted = {0.01 if p.ndim == 2 else 0.0 for p in group["params"]}
            assert wanted == {group["weight_decay"]}


def test_a_step_moves_each_layer_at_its_rate():
    """One step of SGD moves a weight by its gradient times its own rate, with a schedule's too."""
    model = scattered("gpt")
    optimizer = SGD(layerwise_groups(model, 0.2, decay=0.5), momentum=0.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedules.constant(warmup_steps=4))
    optimizer.step()  # at a factor of 0, and without gradients
    scheduler.step()
    before = values(model)
    answer(model).square().mean().backward()
    optimizer.step()
    shares = {"tokens.weight": 8, "blocks.0.feed_forward.in_proj.bias": 4, "norm.bias": 1}
    for name, parameter in model.named_parameters():
        if name in shares:
            assert parameter.grad is not None
            step = 0.25 * 0.2 / shares[name] * parameter.grad
            torch.testing.assert_close(parameter.detach(), before[name] - step)


def test_frozen_parameters_are_in_no_group():
    model = scattered("classifier")
    freeze(model, "bert.tokens", "blocks.0")
    given = {id(p) for g in layerwise_groups(model, 0.1) for p in g["params"]}
    assert given == {id(p) for p in model.parameters() if p.requires_grad}


def test_wrong_rates_and_models_are_refused():
    model = scattered("gpt")
    with refused(ValueError, "lr=0.0: expected a finite number above 0"):
        layerwise_groups(model, 0.0)
    with refused(ValueError, "decay=0.0: expected a finite number above 0"):
        layerwise_groups(model, 0.1, decay=0.0)
    with refused(ValueError, "decay=nan: expected a finite number above 0"):
        layerwise_groups(model, 0.1, decay=math.nan)
    with refused(ValueError, "weight_decay=-0.1: expected a finite number of at least 0"):
        layerwise_groups(model, 0.1, weight_decay=-0.1)
    with refused(
        ValueError, "model is a Linear without blocks: expected one with an nn.ModuleList"
    ):
        layerwise_groups(nn.Linear(2, 3), 0.1)
    freeze(model)
    with refused(ValueError, "model has no parameter that is trained"):
        layerwise_groups(model, 0.1)
