"""Checkpoints in several files: put together whole, or refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoints import THEIRS, in_state, their_model, written
from refusals import refused
from safetensors.torch import load_file, save_file
from transformers import GPT2LMHeadModel
from underglass import pretrained
from underglass.models.gpt import GPT, GPTConfig

TINY = GPTConfig(vocab_size=31, max_len=11, d_model=12, num_layers=2, num_heads=3, d_ff=13)
INDEX = "model.safetensors.index.json"


def sharded(folder: Path) -> Path:
    return written(their_model("gpt2"), folder, max_shard_size="2KB")


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("model-*.safetensors"))


def change_index(folder: Path, change: Callable[[dict], object]) -> None:
    index = json.loads((folder / INDEX).read_text())
    change(index["weight_map"])
    (folder / INDEX).write_text(json.dumps(index))


def first_of(shard: Path) -> str:
    """The name of a tensor in this shard."""
    return min(load_file(shard))


# ----------------------------------------------------------------------- whole


@pytest.mark.parametrize("name", THEIRS)
def test_shards_hold_what_one_file_holds(tmp_path, name):
    theirs = their_model(name)
    whole = pretrained.load(written(theirs, tmp_path / "whole"))
    parts = written(theirs, tmp_path / "parts", max_shard_size="2KB")
    assert len(shards(parts)) > 3
    assert not (parts / "model.safetensors").exists()
    again = pretrained.load(parts)
    assert again.config == whole.config
    assert in_state(again) == in_state(whole)


def test_where_there_is_one_file_too_it_counts(tmp_path):
    """As in transformers."""
    before = pretrained.load(sharded(tmp_path), GPT)
    pretrained.save(GPT(TINY), tmp_path)
    ours = pretrained.load(tmp_path, GPT)
    assert shards(tmp_path)
    assert not torch.equal(ours.tokens.weight, before.tokens.weight)
    theirs = GPT2LMHeadModel.from_pretrained(tmp_path)
    assert torch.equal(ours.tokens.weight, theirs.transformer.wte.weight)


# ----------------------------------------------------------------------- refused


def test_a_missing_shard(tmp_path):
    shards(sharded(tmp_path))[1].unlink()
    with refused(FileNotFoundError, r"there is no .*/model-00002-of-\d+.safetensors, which .*json"):
        pretrained.load(tmp_path)


def test_a_tensor_that_is_not_in_its_shard(tmp_path):
    shard = shards(sharded(tmp_path))[-1]
    tensors = load_file(shard)
    name = min(tensors)
    save_file({n: t.clone() for n, t in tensors.items() if n != name}, shard)
    with refused(ValueError, f"{shard.name} does not hold {name}, which .*{INDEX} says it does"):
        pretrained.load(tmp_path)


def test_a_tensor_that_is_in_two_shards(tmp_path):
    first, *_, last = shards(sharded(tmp_path))
    name = first_of(first)
    save_file({**load_file(last), name: load_file(first)[name]}, last)
    message = f"{last.name} holds {name}, which .*{INDEX} says to be in {first.name}"
    with refused(ValueError, message):
        pretrained.load(tmp_path)


def test_a_tensor_that_the_index_does_not_list(tmp_path):
    last = shards(sharded(tmp_path))[-1]
    name = first_of(last)
    change_index(tmp_path, lambda places: places.pop(name))
    with refused(ValueError, f"{last.name} holds {name}, which .*{INDEX} says to be nowhere"):
        pretrained.load(tmp_path)


@pytest.mark.parametrize(
    "shard",
    ["../secret.safetensors", "sub/secret.safetensors", "{}/secret.safetensors", "C:a.safetensors"]
    + ["..\\secret.safetensors", "..", "", 7, None],
)
def test_an_index_cannot_point_elsewhere(tmp_path, shard):
    """Though the files are there, and hold the tensor."""
    folder = sharded(tmp_path / "model")
    first = shards(folder)[0]
    (folder / "sub").mkdir()
    for place in (tmp_path, folder / "sub"):
        (place / "secret.safetensors").write_bytes(first.read_bytes())
    shard = shard.format(tmp_path) if isinstance(shard, str) else shard
    change_index(folder, lambda places: places.update({first_of(first): shard}))
    with refused(ValueError, f"{INDEX}: transformer.wte.weight is said to be in .*: expected a "):
        pretrained.load(folder)


def test_an_index_of_pickles(tmp_path):
    change_index(sharded(tmp_path), lambda places: places.update(dict.fromkeys(places, "a.bin")))
    with refused(ValueError, "is said to be in 'a.bin': expected a safetensors file"):
        pretrained.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "index.json is not JSON"),
        ("[]", "index.json holds a list"),
        ("{}", "index.json: weight_map=None: expected the file of each tensor"),
        ('{"weight_map": {}}', "index.json: weight_map={}: expected the file of each tensor"),
        ('{"weight_map": ["a"]}', r"weight_map=\['a'\]: expected the file of each tensor"),
    ],
)
def test_a_broken_index(tmp_path, content, message):
    (sharded(tmp_path) / INDEX).write_text(content)
    with refused(ValueError, message):
        pretrained.load(tmp_path)


def test_a_shard_cut_off(tmp_path):
    shard = shards(sharded(tmp_path))[2]
    shard.write_bytes(shard.read_bytes()[:200])
    with refused(ValueError, rf"{shard.name} \(200 bytes\) is not a whole safetensors file"):
        pretrained.load(tmp_path)


def test_shards_without_an_index(tmp_path):
    (sharded(tmp_path) / INDEX).unlink()
    with refused(FileNotFoundError, f"there is no .*model.safetensors, and no {INDEX} either"):
        pretrained.load(tmp_path)
