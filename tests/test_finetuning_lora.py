"""LoRA, against the library peft, which takes our models as they are."""

import copy
import json
from pathlib import Path

import pytest
import torch
from finetuning_cases import F64, MODELS, answer, scattered, trained, values
from peft import LoraConfig, PeftModel, get_peft_model
from refusals import refused
from safetensors.torch import load_file, save_file
from torch import nn
from torch.testing import assert_close
from underglass import pretrained
from underglass.finetuning import count_trained, freeze, layerwise_groups, lora
from underglass.finetuning.lora import files
from underglass.optimizers import AdamW

ATTENTION = ["q_proj", "v_proj"]
TARGETS = {
    "bert": ATTENTION,
    "classifier": [*ATTENTION, "in_proj", "pooler"],
    "masked": ["out_proj"],
    "gpt": ["k_proj", "feed_forward.out_proj"],
    "llama": [*ATTENTION, "down_proj"],
    "seq2seq": ["cross_attention.q_proj"],
}
INIT = {"rank": 5, "alpha": 3.0}


def adapted(kind: str, **options) -> nn.Module:
    """A model whose B, zero at first, is random: as after training."""
    model = scattered(kind)
    lora.inject(model, TARGETS[kind], **{**INIT, **options})
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.5)
    return model


def twin(model: nn.Module, plain: nn.Module, kind: str, **options) -> PeftModel:
    """peft's version, on the same model with the same A and B."""
    config = LoraConfig(r=5, lora_alpha=3, target_modules=TARGETS[kind], **options)
    theirs = get_peft_model(plain, config)  # pyright: ignore[reportArgumentType]
    ours = dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "lora_" in name:
                parameter.copy_(ours[our_name(name)])
    return theirs.to(F64)  # pyright: ignore[reportReturnType]


def our_name(theirs: str) -> str:
    name = theirs.removeprefix("base_model.model.").replace("base_layer", "linear")
    return name.replace("lora_A.default.weight", "lora_a").replace(
        "lora_B.default.weight", "lora_b"
    )


# ----------------------------------------------------------------------- against peft


@pytest.mark.parametrize("kind", MODELS)
def test_outputs_gradients_and_merged_weights_equal_peft(kind):
    ours = adapted(kind)
    plain = scattered(kind)
    plain.load_state_dict(dict(plain_weights(ours)))
    theirs = twin(ours, plain, kind)
    got, expected = answer(ours), answer(theirs)
    assert_close(got, expected)
    got.square().mean().backward()
    expected.square().mean().backward()
    our_parameters = dict(ours.named_parameters())
    compared = 0
    for name, parameter in theirs.named_parameters():
        mine = our_parameters[our_name(name)]
        assert mine.requires_grad == parameter.requires_grad
        if parameter.requires_grad:
            assert_close(mine.grad, parameter.grad)
            compared += 1
    assert compared == len(trained(ours)) > 0

    lora.merge(ours)
    lora.remove(ours)
    merged = theirs.merge_and_unload().state_dict()  # pyright: ignore[reportCallIssue]
    assert merged.keys() == ours.state_dict().keys()
    for name, weight in ours.state_dict().items():
        assert_close(weight, merged[name])


def plain_weights(model: nn.Module):
    """The state of a model with LoRA, as the model without it names it."""
    for name, tensor in model.state_dict().items():
        if "lora_" not in name:
            yield name.replace(".linear.", "."), tensor


@pytest.mark.parametrize("rank", [1, 5, 20])
def test_one_layer_by_hand(rank):
    linear = nn.Linear(7, 11, dtype=F64)
    layer = lora.LoRALinear(linear, rank, alpha=3.0)
    x = torch.randn(2, 3, 7, dtype=F64)
    assert torch.equal(layer(x), linear(x))  # B is zero
    nn.init.normal_(layer.lora_b)
    weight = linear.weight + 3 / rank * layer.lora_b @ layer.lora_a
    assert_close(layer(x), x @ weight.T + linear.bias)
    assert_close(layer.weight, weight)
    assert layer.bias is linear.bias
    assert torch.autograd.gradcheck(layer, x.requires_grad_())


def test_dropout_is_on_the_way_to_a_only():
    linear = nn.Linear(7, 11, dtype=F64)
    layer = lora.LoRALinear(linear, 2, alpha=2.0, dropout=0.5)
    nn.init.normal_(layer.lora_b)
    x = torch.randn(3, 7, dtype=F64)
    assert layer(x).ne(layer(x)).any()
    torch.manual_seed(5)
    dropped = layer(x)
    torch.manual_seed(5)
    assert_close(
        dropped, linear(x) + nn.functional.dropout(x, 0.5) @ layer.lora_a.T @ layer.lora_b.T
    )
    layer.eval()
    assert_close(layer(x), x @ layer.weight.T + linear.bias)


# ----------------------------------------------------------------------- inject and train


@pytest.mark.parametrize("kind", MODELS)
def test_the_start_computes_the_same(kind):
    model = scattered(kind)
    before = answer(model)
    names = lora.inject(model, TARGETS[kind], **INIT)
    assert torch.equal(answer(model), before)
    assert trained(model) == {f"{name}.{x}" for name in names for x in ("lora_a", "lora_b")}


def test_the_names_are_those_of_the_targets():
    names = lora.inject(scattered("gpt"), ["blocks.1.*.q_proj", "in_proj"], **INIT)
    assert names == [
        "blocks.0.feed_forward.in_proj",
        "blocks.1.attention.q_proj",
        "blocks.1.feed_forward.in_proj",
    ]
    model = scattered("gpt")
    linears = [name for name, m in model.named_modules() if isinstance(m, nn.Linear)]
    assert lora.inject(model, ["*"], **INIT) == linears
    assert count_trained(model) == sum(
        5 * (m.in_features + m.out_features)
        for m in model.modules()
        if isinstance(m, lora.LoRALinear)
    )


@pytest.mark.parametrize("kind", MODELS)
def test_training_moves_the_adapter_and_the_head_only(kind):
    head = {"classifier": ["classifier"], "masked": ["bias"]}.get(kind, [])
    model = scattered(kind)
    lora.inject(model, TARGETS[kind], trainable=head, **INIT)
    before = values(model)
    optimizer = AdamW(layerwise_groups(model, 0.05, weight_decay=0.01))
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = (answer(model) - 1).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == trained(model)
    # the layer behind pooling, and what nothing is read from, may get no gradient
    assert any("lora_b" in name for name in moved)
    assert all(any(name.endswith(h) or h in name for name in moved) for h in head)


def test_a_generator_decides_a():
    def drawn(seed: int) -> list[torch.Tensor]:
        model = scattered("gpt")
        lora.inject(model, ["q_proj"], generator=torch.Generator().manual_seed(seed), **INIT)
        return [p for name, p in model.named_parameters() if "lora_a" in name]

    first, second, other = drawn(1), drawn(1), drawn(2)
    assert all(map(torch.equal, first, second))
    assert not torch.equal(first[0], other[0])
    assert not torch.equal(first[0], first[1])
    assert max(p.abs().max() for p in first) <= 12**-0.5
    assert min(p.abs().max() for p in first) > 0.9 * 12**-0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtype_and_mode_are_kept(dtype):
    model = scattered("gpt", dtype).eval()
    lora.inject(model, ATTENTION, **INIT)
    assert not any(module.training for module in model.modules())
    assert answer(model).dtype == dtype
    lora.merge(model)
    assert {p.dtype for p in model.parameters()} == {dtype}


def test_meta_device():
    with torch.device("meta"):
        model = MODELS["gpt"]()
    lora.inject(model, ATTENTION, **INIT)
    lora.merge(model.eval())
    assert {p.device.type for p in model.parameters()} == {"meta"}


def test_a_layer_in_two_places_stays_one():
    model = scattered("gpt")
    first, second = (model.get_submodule(f"blocks.{index}.attention") for index in (0, 1))
    second.q_proj = first.q_proj
    names = lora.inject(model, ["q_proj"], **INIT)
    assert len(names) == 2
    assert model.get_submodule(names[0]) is model.get_submodule(names[1])


# ----------------------------------------------------------------------- merge and unmerge


@pytest.mark.parametrize("kind", MODELS)
def test_merged_computes_the_same(kind):
    model = adapted(kind).eval()
    before = answer(model)
    keys = model.state_dict().keys()
    lora.merge(model)
    lora.merge(model)  # once is enough
    assert_close(answer(model), before, rtol=0, atol=1e-12)
    assert model.state_dict().keys() == keys
    lora.remove(model)
    assert not any(isinstance(module, lora.LoRALinear) for module in model.modules())
    assert_close(answer(model), before, rtol=0, atol=1e-12)
    assert model.state_dict().keys() == scattered(kind).state_dict().keys()


@pytest.mark.parametrize("dtype", [torch.float32, F64, torch.bfloat16])
def test_unmerged_is_the_old_one_but_for_rounding(dtype):
    model = adapted("gpt").to(dtype)
    before = values(model)
    lora.merge(model)
    lora.unmerge(model)
    lora.unmerge(model)
    for name, layer in model.named_modules():
        if isinstance(layer, lora.LoRALinear):
            old, new = before[f"{name}.linear.weight"], layer.linear.weight
            size = old.abs().double() + layer.update().abs().double()
            assert ((new.double() - old.double()).abs() <= torch.finfo(dtype).eps * size).all()


def test_the_last_matrix_can_have_an_adapter():
    model = scattered("llama")
    lora.inject(model, ["output"], **INIT)
    layer = model.get_submodule("output")
    assert isinstance(layer, lora.LoRALinear)
    nn.init.normal_(layer.lora_b)
    before = answer(model)
    before.square().mean().backward()
    assert layer.lora_a.grad is not None
    assert layer.lora_a.grad.ne(0).all()
    with torch.no_grad():
        layer.lora_b.zero_()
    assert (answer(model) - before).abs().max() > 0.1


def test_training_while_merged_is_refused():
    model = adapted("gpt")
    lora.merge(model)
    with refused(RuntimeError, "merged and in training: expected lora.unmerge"):
        answer(model)
    with torch.no_grad():
        answer(model)
    answer(model.eval())
    lora.unmerge(model.train())
    answer(model)


def test_the_merged_model_can_be_saved_as_any_other(tmp_path):
    model = adapted("gpt").eval()
    before = answer(model)
    lora.merge(model)
    lora.remove(model)
    pretrained.save(model, tmp_path)  # pyright: ignore[reportArgumentType]
    assert_close(answer(pretrained.load(tmp_path)), before)


# ----------------------------------------------------------------------- save and load


@pytest.mark.parametrize("kind", MODELS)
def test_there_and_back(tmp_path, kind):
    head = {"classifier": ["classifier"], "masked": ["bias"]}.get(kind, [])
    model = adapted(kind, trainable=head, dropout=0.25).eval()
    before = answer(model)
    lora.save(model, tmp_path / "new" / "folder")
    base = scattered(kind)
    base.load_state_dict(dict(plain_weights(model)))
    if head:  # it comes from the adapter
        nn.init.zeros_(base.get_parameter({"classifier": "classifier.bias"}.get(kind, "bias")))
    names = lora.load(base, tmp_path / "new" / "folder")
    assert names == [n for n, m in base.named_modules() if isinstance(m, lora.LoRALinear)]
    assert torch.equal(answer(base.eval()), before)
    assert trained(base) == trained(model)
    assert str(base) == str(model)  # rank, alpha and dropout too
    assert sorted(p.name for p in (tmp_path / "new/folder").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]


def test_only_the_adapter_is_saved(tmp_path):
    model = adapted("classifier", trainable=["classifier"])
    lora.save(model, tmp_path)
    numbers = sum(t.numel() for t in load_file(tmp_path / files.WEIGHTS).values())
    assert numbers == count_trained(model)


def test_a_merged_model_saves_the_same_adapter(tmp_path):
    model = adapted("gpt")
    lora.save(model, tmp_path / "one")
    lora.merge(model)
    lora.save(model, tmp_path / "two")
    one, two = (load_file(tmp_path / name / files.WEIGHTS) for name in ("one", "two"))
    assert_close(one, two, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["classifier", "gpt"])
def test_peft_reads_what_we_write(tmp_path, kind):
    head = ["classifier"] if kind == "classifier" else []
    model = adapted(kind, trainable=head).eval()
    lora.save(model, tmp_path)
    plain = scattered(kind)
    plain.load_state_dict(dict(plain_weights(model)))
    if head:
        nn.init.zeros_(plain.get_parameter("classifier.bias"))
    theirs = PeftModel.from_pretrained(plain, tmp_path).to(F64).eval()  # pyright: ignore[reportArgumentType]
    assert_close(answer(theirs), answer(model))


@pytest.mark.parametrize("kind", ["classifier", "gpt"])
def test_we_read_what_peft_writes(tmp_path, kind):
    ours = adapted(kind)
    plain = scattered(kind)
    plain.load_state_dict(dict(plain_weights(ours)))
    base = copy.deepcopy(plain)
    head = ["classifier"] if kind == "classifier" else None
    theirs = twin(ours, plain, kind, modules_to_save=head, lora_dropout=0.1).eval()
    expected = answer(theirs)
    theirs.save_pretrained(tmp_path)
    if head:
        nn.init.zeros_(base.get_parameter("classifier.bias"))
    lora.load(base, tmp_path)
    assert_close(answer(base.eval()), expected)


def test_a_failed_save_leaves_what_was_there(tmp_path, monkeypatch):
    lora.save(adapted("gpt"), tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def cut_off(tensors, file, **_):
        Path(file).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(files, "save_file", cut_off)
    with pytest.raises(OSError, match="disk full"):
        lora.save(adapted("gpt"), tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


# ----------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(targets=["query"]), "targets: 'query' matches no linear layer of this model: .*q_p"),
        (dict(targets=["q_proj", "tokens"]), "targets: 'tokens' matches no linear layer"),
        (dict(targets=[]), "targets is empty: expected the name of at least one linear layer"),
        (dict(rank=0), "rank=0: expected at least 1"),
        (dict(alpha=0.0), "alpha=0.0: expected a finite number above 0"),
        (dict(alpha=float("nan")), "alpha=nan: expected a finite number above 0"),
        (dict(dropout=1.0), "dropout=1.0: expected a share from 0 up to"),
        (dict(trainable=["head"]), "trainable: 'head' matches no parameter or module"),
        (dict(trainable=["blocks.0"]), "blocks.0.attention.q_proj is named by targets and by"),
    ],
)
def test_wrong_options_are_refused_before_anything_changes(change, message):
    model = scattered("gpt")
    everything = trained(model)
    with refused(ValueError, message):
        lora.inject(model, **{"targets": ["q_proj"], **INIT, **change})
    assert trained(model) == everything


def test_wrong_types_and_models_are_refused():
    model = scattered("gpt")
    with refused(TypeError, "targets='q_proj' is a string: expected a list of strings"):
        lora.inject(model, "q_proj", **INIT)
    with refused(TypeError, "trainable='norm' is a string: expected a list of strings"):
        lora.inject(model, ["q_proj"], trainable="norm", **INIT)
    with refused(TypeError, "linear is a LayerNorm: expected an nn.Linear"):
        lora.LoRALinear(nn.LayerNorm(3), 2, alpha=1.0)  # pyright: ignore[reportArgumentType]
    for change in (lora.merge, lora.unmerge, lora.remove):
        with refused(ValueError, "model is a GPT without LoRA layers: expected lora.inject before"):
            change(model)
    lora.inject(model, ["q_proj"], **INIT)
    with refused(ValueError, "model has LoRA layers already"):
        lora.inject(model, ["k_proj"], **INIT)


def test_wrong_saves_are_refused(tmp_path):
    with refused(ValueError, r"model has LoRA layers with \(rank, alpha, dropout\) = \[\]"):
        lora.save(scattered("gpt"), tmp_path)
    (tmp_path / "file").write_text("mine")
    with refused(NotADirectoryError, "file' is a file: expected a folder"):
        lora.save(adapted("gpt"), tmp_path / "file")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(peft_type="IA3"), "peft_type='IA3': expected 'LORA'"),
        (dict(use_dora=True), "use_dora=True is not taught here: expected none"),
        (dict(rank_pattern={"q_proj": 2}), "rank_pattern={'q_proj': 2} is not taught here"),
        (dict(bias="all"), "bias='all' is not taught here"),
        (dict(r="5"), "r='5': expected a number"),
        (dict(r=True), "r=True: expected a number"),
        (dict(r=0), "rank=0: expected at least 1"),
        (dict(r=4), r"lora_A.weight has shape \(5, 12\): expected \(4, 12\)"),
        (dict(lora_alpha=None), "lora_alpha=None: expected a number"),
        (dict(lora_dropout=2), "dropout=2.0: expected a share"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, change, message):
    lora.save(adapted("gpt"), tmp_path)
    config = json.loads((tmp_path / files.CONFIG).read_text())
    (tmp_path / files.CONFIG).write_text(json.dumps(config | change))
    check_load_refused(tmp_path, message)


def check_load_refused(
    folder: Path, message: str, kind: str = "gpt", error: type[Exception] = ValueError
) -> None:
    model = scattered(kind)
    before = values(model)
    with refused(error, message):
        lora.load(model, folder)
    assert trained(model) == before.keys()
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_wrong_adapters_are_refused(tmp_path):
    check_load_refused(tmp_path, "there is no .*adapter_config.json", error=FileNotFoundError)
    lora.save(adapted("gpt"), tmp_path)
    check_load_refused(
        tmp_path, "holds blocks.0.attention.k_proj.lora_A.weight, for which this Seq2Seq has no",
        "seq2seq",
    )  # fmt: skip
    tensors = load_file(tmp_path / files.WEIGHTS)
    name = "base_model.model.blocks.0.attention.k_proj.lora_B.weight"
    save_file({n: t for n, t in tensors.items() if n != name}, tmp_path / files.WEIGHTS)
    check_load_refused(tmp_path, "does not hold blocks.0.attention.k_proj.lora_B.weight")
    save_file({**tensors, "base_model.model.head.weight": torch.ones(2)}, tmp_path / files.WEIGHTS)
    check_load_refused(tmp_path, "holds head.weight, for which this GPT has no place")
    save_file({"base_model.model.norm.bias": torch.ones(12)}, tmp_path / files.WEIGHTS)
    check_load_refused(tmp_path, "holds no LoRA layer")
    (tmp_path / files.WEIGHTS).write_bytes(b"half")
    check_load_refused(tmp_path, "is not a whole safetensors file")
    (tmp_path / files.WEIGHTS).unlink()
    check_load_refused(tmp_path, "there is no .*adapter_model", error=FileNotFoundError)


def test_loading_into_a_model_with_lora_is_refused(tmp_path):
    model = adapted("gpt")
    lora.save(model, tmp_path)
    with refused(ValueError, "model has LoRA layers already"):
        lora.load(model, tmp_path)


def test_freezing_works_on_the_parts_of_lora():
    model = adapted("gpt")
    freeze(model, "lora_a")
    assert all(name.endswith("lora_b") for name in trained(model))
