"""Checkpoints that are broken, dangerous, or not there: refused, with a message that says why."""

import json
import pickle
import sys
import types
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch
from checkpoints import in_state, their_model, written
from refusals import refused
from safetensors.torch import load_file, save_file
from underglass import pretrained
from underglass.models.bert import BERT, BERTConfig
from underglass.pretrained import files
from underglass.tokenizers import BPE

TINY = BERTConfig(vocab_size=31, max_len=11, d_model=12, num_layers=2, num_heads=3, d_ff=13)


def saved(folder: Path) -> Path:
    pretrained.save(BERT(TINY), folder)
    return folder


# ----------------------------------------------------------------------- broken checkpoints


def change_tensors(folder: Path, change: Callable) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file({name: t.clone() for name, t in tensors.items()}, folder / "model.safetensors")


QUERY = "encoder.layer.1.attention.self.query.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(QUERY), rf"{QUERY} is missing"),
        (lambda t: t.update({"extra.weight": t[QUERY]}), "extra.weight is not part of the model"),
        (
            lambda t: t.update({QUERY: t[QUERY][1:]}),
            rf"{QUERY} has shape \(11, 12\): expected \(12, 12\)",
        ),
        (
            lambda t: t.update({QUERY: t[QUERY].to(torch.int8)}),
            rf"{QUERY} is torch.int8: expected floating-point numbers",
        ),
        (lambda t: t.update({"bert." + QUERY: t[QUERY]}), f"{QUERY} twice, with and without"),
        (lambda t: t.clear(), r"embeddings.word_embeddings.weight is missing; .*and \d+ more"),
    ],
    ids=["missing", "extra", "misshapen", "integers", "twice", "nothing"],
)
def test_wrong_tensors_are_refused(tmp_path, change, message):
    change_tensors(saved(tmp_path), change)
    with refused(ValueError, message):
        pretrained.load(tmp_path)


@pytest.mark.parametrize("size", [0, 5, 200, -1])
def test_a_file_cut_off_is_refused(tmp_path, size):
    path = saved(tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with refused(ValueError, r"model.safetensors \(\d+ bytes\) is not a whole safetensors file"):
        pretrained.load(tmp_path)


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle was run')",)


@pytest.mark.parametrize("write", [torch.save, lambda x, p: p.write_bytes(pickle.dumps(x))])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_a_pickle_is_refused_and_not_run(tmp_path, name, write):
    (saved(tmp_path) / "model.safetensors").unlink()
    write({"weight": Bomb()}, tmp_path / name)
    with refused(ValueError, f"{name} is a pickle, which can run any program"):
        pretrained.load(tmp_path)
    if name.endswith(".bin"):
        with refused(ValueError, f"{name} is a pickle, which can run any program"):
            pretrained.load(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gpt2"}, r"architectures=\['BertModel'\]: expected one of GPT2"),
        ({"model_type": None}, "model_type=None: expected one of bert, gpt2, llama, mar"),
        ({"position_embedding_type": "relative_key"}, "'relative_key': expected 'absolute'"),
        ({"is_decoder": True}, "is_decoder=True: expected False"),
        ({"hidden_size": "12"}, "hidden_size='12': expected int"),
        ({"hidden_size": None}, "hidden_size=None: expected int"),
        ({"num_hidden_layers": True}, "num_hidden_layers=True: expected int"),
        ({"layer_norm_eps": "tiny"}, "layer_norm_eps='tiny': expected float"),
        ({"num_attention_heads": 5}, "d_model=12 is not divisible by num_heads=5"),
        ({"hidden_act": "tanh"}, "hidden_act='tanh': expected one of relu, gelu, gelu_new, "),
        ({"num_hidden_layers": 3}, r"encoder.layer.2.attention.self.query.weight is missing"),
        ({"num_hidden_layers": 1}, r"encoder.layer.1.* is not part of the model"),
        ({"vocab_size": 32}, r"word_embeddings.weight has shape \(31, 12\): expected \(32, 12\)"),
    ],
)
def test_wrong_configs_are_refused(tmp_path, change, message):
    path = saved(tmp_path) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with refused(ValueError, message):
        pretrained.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b'{"model_type": ', "is not JSON"), (b"\xff\xfe", "is not JSON"), (b"[]", "holds a list")],
)
def test_a_broken_config_is_refused(tmp_path, content, message):
    (saved(tmp_path) / "config.json").write_bytes(content)
    with refused(ValueError, f"config.json {message}"):
        pretrained.load(tmp_path)


def test_missing_files_are_named(tmp_path):
    with refused(FileNotFoundError, "there is no .*config.json: expected a checkpoint's folder"):
        pretrained.load(tmp_path)
    (saved(tmp_path) / "model.safetensors").unlink()
    with refused(
        FileNotFoundError, r"no .*model.safetensors, and no .*index.json either: expected"
    ):
        pretrained.load(tmp_path)
    with refused(ValueError, "config.json' is a file: expected the folder it lies in"):
        pretrained.load(tmp_path / "config.json")


# ----------------------------------------------------------------------- the hub


def with_hub(monkeypatch, snapshot_download: Callable | None) -> None:
    hub = types.ModuleType("huggingface_hub")
    if snapshot_download:
        hub.snapshot_download = snapshot_download  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub if snapshot_download else None)


def test_other_names_are_looked_for_on_the_hub(tmp_path, monkeypatch):
    asked = []

    def download(name, *, allow_patterns):
        asked.append((name, allow_patterns))
        return str(saved(tmp_path))

    with_hub(monkeypatch, download)
    assert pretrained.load("someone/tiny-bert").config == TINY
    assert asked == [("someone/tiny-bert", files.WANTED)]
    assert not any(name.endswith(files.PICKLES) for name in files.WANTED)


def test_the_hub_is_asked_for_all_that_is_read(tmp_path, monkeypatch):
    """In shards, with a tokenizer in the old layout; and for nothing that is not read."""
    published = written(their_model("gpt2"), tmp_path / "published", max_shard_size="2KB")
    bpe = BPE.train(["the cat sat on the mat"], 262, special=["<|endoftext|>"])
    bpe.save(published)
    for other in ("pytorch_model.bin", "tf_model.h5", "optimizer.pt", "README.md"):
        (published / other).write_bytes(b"")
    fetched = tmp_path / "fetched"

    def download(name, *, allow_patterns):
        fetched.mkdir(exist_ok=True)
        for file in published.iterdir():
            if any(fnmatch(file.name, pattern) for pattern in allow_patterns):
                (fetched / file.name).write_bytes(file.read_bytes())
        return str(fetched)

    with_hub(monkeypatch, download)
    ours, expected = pretrained.load("someone/tiny-gpt2"), pretrained.load(published)
    assert in_state(ours) == in_state(expected)
    assert pretrained.tokenizer("someone/tiny-gpt2", BPE).encode("the cat") == bpe.encode("the cat")
    left = {file.name for file in published.iterdir()} - {file.name for file in fetched.iterdir()}
    assert left == {"generation_config.json", "pytorch_model.bin", "tf_model.h5"} | {
        "optimizer.pt",
        "README.md",
    }
    assert {"vocab.json", "merges.txt"} < set(files.WANTED)


def test_a_data_set_without_weights_is_no_checkpoint(tmp_path, monkeypatch):
    """Nor is it fetched; but a folder of that name is one."""
    with refused(FileNotFoundError, "'gpt2' is a data set .* without weights: expected minilm, a "):
        pretrained.load("gpt2")
    with refused(FileNotFoundError, "'glove' is a data set .* such as 'openai-community/gpt2'"):
        pretrained.tokenizer("glove")
    monkeypatch.chdir(saved(tmp_path / "gpt2").parent)
    assert pretrained.load("gpt2").config == TINY


def test_an_unknown_name_says_what_to_do(monkeypatch):
    unknown = r"name_or_path='minilmm' is not a folder and not one of underglass.data \(minilm\)"
    with_hub(monkeypatch, None)
    with refused(FileNotFoundError, unknown + ".*install huggingface_hub"):
        pretrained.load("minilmm")

    def unreachable(name, **_):
        raise OSError("no route to the hub\nmore")

    with_hub(monkeypatch, unreachable)
    with refused(FileNotFoundError, unknown + r".*\(no route to the hub\)"):
        pretrained.load("minilmm")
    with refused(FileNotFoundError, "name_or_path='./nowhere': there is no such folder"):
        pretrained.load("./nowhere")
