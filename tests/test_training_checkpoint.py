"""A run that was interrupted goes on to the same bits, and a checkpoint is there whole or not."""

import errno
import json
import multiprocessing
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from training_cases import Shuffled, mean_loss, padded, summed_loss, tiny_gpt, weights
from underglass import optimizers, schedules
from underglass.optimizers import SGD, AdamW, Muon
from underglass.training import History, fit
from underglass.training.files import temporary_of

TESTS = Path(__file__).parent


class Interrupted(Exception):
    pass


def interrupt_at(step: int):
    def interrupt(model: nn.Module, history: History) -> None:
        if len(history) == step:
            raise Interrupted

    return interrupt


def run(path: Path | None, make_optimizer, *, callbacks=(), steps=11, **changes):
    """One run of `steps` steps with everything that has a state switched on."""
    torch.manual_seed(1)
    model = tiny_gpt(dropout=0.2, dtype=changes.pop("dtype", torch.float64))
    options: dict[str, Any] = dict(
        loss=mean_loss,
        schedule=schedules.linear(50, warmup_steps=2),
        validation=Shuffled(2, seed=1),
        validate_every=4,
        checkpoint_every=3,
        accumulate=2,
    )
    history = fit(
        model,
        changes.pop("batches", Shuffled()),
        make_optimizer(model),
        steps=steps,
        checkpoint=path,
        callbacks=callbacks,
        **(options | changes),
    )
    return history.to_dict() | {"tokens_per_second": None}, weights(model)


def resumed(path: Path, make_optimizer, **changes):
    """The same run, interrupted after steps 2, 5, 7 and 10."""
    for step in (2, 5, 7, 10):
        with pytest.raises(Interrupted):
            run(path, make_optimizer, callbacks=[interrupt_at(step)], **changes)
    return run(path, make_optimizer, **changes)


OPTIMIZERS = {
    "AdamW": lambda model: AdamW(model.parameters(), 0.01),
    "SGD": lambda model: SGD(model.parameters(), 0.1, momentum=0.9),
    "RMSProp": lambda model: optimizers.RMSProp(model.parameters(), 0.001),
    "Lion": lambda model: optimizers.Lion(model.parameters(), 0.001),
    "torch.AdamW": lambda model: torch.optim.AdamW(model.parameters(), 0.01, amsgrad=True),
    "torch.SGD": lambda model: torch.optim.SGD(model.parameters(), 0.1),  # keeps None
    "two": lambda model: [
        Muon([model.blocks[0].feed_forward.in_proj.weight], 0.01),
        AdamW([model.tokens.weight, model.norm.bias], 0.01),
    ],
}


@pytest.mark.parametrize("make_optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_an_interrupted_run_ends_in_the_same_bits(tmp_path, make_optimizer):
    expected = run(None, make_optimizer)
    found = resumed(tmp_path / "run.safetensors", make_optimizer)
    assert found[0] == expected[0]
    assert torch.equal(found[1], expected[1])


# It draws a seed for its workers from torch's global generator, at the start of each epoch.
LOADER = DataLoader(TensorDataset(Shuffled().ids.flatten(0, 1)), batch_size=5)


@pytest.mark.parametrize(
    "changes",
    [
        dict(precision="bf16", dtype=torch.float32),
        dict(precision="fp16", dtype=torch.float32, loss=lambda m, x: mean_loss(m, x) * 1e3),
        dict(batches=[*Shuffled().ids]),
        dict(batches=padded(), loss=summed_loss, validation=None),
        dict(batches=LOADER, loss=lambda model, batch: mean_loss(model, batch[0]), validation=None),
        dict(max_norm=0.5, patience=2),
    ],
    ids=["bf16", "fp16", "list", "sums", "DataLoader", "clipped"],
)
def test_so_does_one_with_other_options(tmp_path, changes):
    make_optimizer = OPTIMIZERS["AdamW"]
    expected = run(None, make_optimizer, **changes)
    found = resumed(tmp_path / "run.safetensors", make_optimizer, **changes)
    assert found[0] == expected[0]
    assert torch.equal(found[1], expected[1])


def test_buffers_are_saved_too(tmp_path):
    def train(steps: int) -> nn.Module:
        torch.manual_seed(2)
        model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 1))
        fit(
            model,
            [torch.randn(7, 3, generator=torch.Generator().manual_seed(1))],
            SGD(model.parameters(), 0.1),
            loss=lambda model, x: model(x).square().mean(),
            steps=steps,
            checkpoint=tmp_path / f"{steps}",
        )
        return model

    expected = train(5).state_dict()
    train(3)
    (tmp_path / "3").rename(tmp_path / "5")
    for name, tensor in train(5).state_dict().items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.slow
def test_killed_20_times_it_ends_as_if_nothing_had_happened(tmp_path):
    command = [sys.executable, str(TESTS / "training_kills.py"), str(tmp_path), "20", "0"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["kills"] == 20
    assert counts["while_saving"] >= 8
    assert counts["ends"] >= 1
    assert counts["differing"] == 0
    assert counts["files"] == ["reference.safetensors"]


def test_a_finished_run_is_not_taken_further(tmp_path):
    path, make_optimizer = tmp_path / "run.safetensors", OPTIMIZERS["AdamW"]
    first = run(path, make_optimizer)
    content = path.read_bytes()
    again = run(path, make_optimizer)
    assert again[0] == first[0]
    assert torch.equal(again[1], first[1])
    assert path.read_bytes() == content


def test_what_no_step_depends_on_may_change(tmp_path):
    path, make_optimizer = tmp_path / "run.safetensors", OPTIMIZERS["AdamW"]
    run(path, make_optimizer, steps=5)
    found = run(
        path,
        make_optimizer,
        validation=None,
        checkpoint_every=100,
        progress=False,
        callbacks=[lambda model, history: None],
        name="longer",
    )
    expected = run(None, make_optimizer, validation=None)
    assert found[0]["name"] == "longer"
    assert found[0]["loss"] == expected[0]["loss"]
    assert torch.equal(found[1], expected[1])


def renamed_loss(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    return mean_loss(model, ids)


def flagged_loss(model: nn.Module, ids: torch.Tensor, *, flag: int) -> torch.Tensor:
    return mean_loss(model, ids) * flag


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(accumulate=3), "accumulate: saved 2, present 3"),
        (dict(max_norm=1.0), "max_norm: saved None, present 1.0"),
        (dict(precision="bf16"), "precision: saved None, present 'bf16'"),
        (dict(loss=renamed_loss), "loss: saved 'mean_loss', present 'renamed_loss'"),
        (
            dict(loss=partial(flagged_loss, flag=1)),
            r"loss: saved 'mean_loss', present 'flagged_loss\(flag=1\)'",
        ),
        (dict(batches=Shuffled(seed=2)), r"first_batch: saved \d+, present \d+"),
        (dict(dtype=torch.float32), r"tokens\.weight: saved 'float64 \[31, 12\]', present 'float3"),
        (
            dict(schedule=schedules.linear(60, warmup_steps=2)),
            r"schedule\.3: saved 0\.97\d+, present 0\.98\d+; .*and 3 more of schedule",
        ),
        (dict(schedule=None), r"schedule\.0: saved 0\.0, present None"),
        (
            dict(make_optimizer=lambda model: AdamW(model.parameters(), 0.02)),
            r"optimizer\.0\.groups\.0\.lr: saved 0\.01, present 0\.02",
        ),
        (
            dict(make_optimizer=lambda model: AdamW(model.parameters(), 0.01, betas=(0.9, 0.99))),
            r"betas\.1: saved 0\.999, present 0\.99",
        ),
        (
            dict(make_optimizer=lambda model: SGD(model.parameters(), 0.01)),
            r"optimizer\.0\.class: saved 'AdamW', present 'SGD'",
        ),
        (
            dict(make_optimizer=lambda model: AdamW([model.tokens.weight], 0.01)),
            r"params\.1: saved 'positions\.weight', present None",
        ),
        (
            dict(make_optimizer=lambda model: AdamW(frozen(model).parameters(), 0.01)),
            r"norm\.bias: saved 'float64 \[12\]', present 'float64 \[12\], frozen'",
        ),
    ],
)
def test_another_configuration_is_refused(tmp_path, changes, message):
    path, make_optimizer = tmp_path / "run.safetensors", OPTIMIZERS["AdamW"]
    run(path, make_optimizer, steps=9)
    content = path.read_bytes()
    with pytest.raises(ValueError, match=f"another configuration: .*{message}"):
        run(path, changes.pop("make_optimizer", make_optimizer), steps=9, **changes)
    assert path.read_bytes() == content


def frozen(model: nn.Module) -> nn.Module:
    model.get_parameter("norm.bias").requires_grad_(False)
    return model


def test_another_size_of_the_model_is_refused(tmp_path):
    for model, message in [
        (tiny_gpt(d_model=15), r"model\.config\.d_model: saved 12, present 15"),
        (tiny_gpt(dropout=0.1), r"model\.config\.dropout: saved 0\.0, present 0\.1"),
        (nn.Embedding(31, 31), r"model\.class: saved 'GPT', present 'Embedding'"),
    ]:
        path = tmp_path / "run.safetensors"
        saved = tiny_gpt()
        fit(saved, Shuffled(), SGD(saved.parameters()), loss=mean_loss, steps=1, checkpoint=path)
        with pytest.raises(ValueError, match=message):
            fit(
                model, Shuffled(), SGD(model.parameters()), loss=mean_loss, steps=1, checkpoint=path
            )


def test_fewer_steps_than_were_taken_are_refused(tmp_path):
    path, make_optimizer = tmp_path / "run.safetensors", OPTIMIZERS["AdamW"]
    run(path, make_optimizer, steps=5)
    with pytest.raises(ValueError, match="steps=4: expected at least the 5 that checkpoint="):
        run(path, make_optimizer, steps=4)


def test_a_damaged_or_foreign_file_is_refused(tmp_path):
    path, make_optimizer = tmp_path / "run.safetensors", OPTIMIZERS["AdamW"]
    run(path, make_optimizer, steps=1)
    whole = path.read_bytes()
    for content in (b"", b"not a checkpoint", whole[:-1], whole[:100]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"run\.safetensors' is damaged"):
            run(path, make_optimizer, steps=1)
        assert path.read_bytes() == content
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match="has the format None: expected 'underglass.training 1'"):
        run(path, make_optimizer, steps=1)
    assert load_file(path).keys() == {"weight"}


def no_space(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.replace"])
def test_a_save_that_fails_leaves_the_last_checkpoint(tmp_path, monkeypatch, broken):
    path, make_optimizer = tmp_path / "run.safetensors", OPTIMIZERS["AdamW"]
    with pytest.raises(Interrupted):
        run(path, make_optimizer, callbacks=[interrupt_at(5)])
    content = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(broken, no_space)
        with pytest.raises(OSError, match=r"cannot write .*run\.safetensors \(No space left"):
            run(path, make_optimizer)
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["run.safetensors"]
    assert run(path, make_optimizer)[0] == run(None, make_optimizer)[0]


def in_a_process_of_its_own(prepare: Callable[[], None], path: Path, *, stop_at: int) -> str:
    """The error that a run ends with, in a child that may limit itself or give up rights.

    A new process and not a fork: torch's threads are not in a fork, which would wait for them.
    """
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=_error_of, args=(prepare, path, stop_at, answers))
    process.start()
    message = answers.get(timeout=100)
    process.join()
    return message


def _error_of(prepare: Callable[[], None], path: Path, stop_at: int, answers: Any) -> None:
    message = "no error"
    run(None, OPTIMIZERS["AdamW"], steps=1)  # imports all that nobody may not read
    try:
        prepare()
        run(path, OPTIMIZERS["AdamW"], callbacks=[interrupt_at(stop_at)])
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
    answers.put(message)


def limit_files_to(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_full_disk(tmp_path):
    """The limit stands for a disk: a write beyond it fails halfway."""
    path = tmp_path / "run.safetensors"
    run(path, OPTIMIZERS["AdamW"], steps=3)
    content = path.read_bytes()
    limit = partial(limit_files_to, len(content) // 2)
    message = in_a_process_of_its_own(limit, path, stop_at=11)
    assert "cannot write" in message
    assert "File too large); what was there is unchanged" in message
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["run.safetensors"]


def be_nobody() -> None:
    if os.geteuid() == 0:
        os.seteuid(65534)  # root may write anywhere


def test_a_folder_that_may_not_be_written_to_is_refused_at_once(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(parent.stat().st_mode | 0o011)
    message = in_a_process_of_its_own(be_nobody, folder / "run.safetensors", stop_at=1)
    assert message.startswith("PermissionError")
    assert "cannot write" in message
    assert list(folder.iterdir()) == []


def test_a_checkpoint_that_is_a_folder_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder: expected the name of a file"):
        run(tmp_path, OPTIMIZERS["AdamW"])


def test_a_missing_folder_is_made(tmp_path):
    path = tmp_path / "new" / "folder" / "run.safetensors"
    run(path, OPTIMIZERS["AdamW"], steps=1)
    assert path.is_file()


def test_what_a_killed_save_left_behind_does_no_harm(tmp_path):
    path, make_optimizer = tmp_path / "run.safetensors", OPTIMIZERS["AdamW"]
    temporary_of(path).write_bytes(b"half a checkpoint")
    expected = run(None, make_optimizer)
    assert run(path, make_optimizer)[0] == expected[0]
    assert [file.name for file in tmp_path.iterdir()] == ["run.safetensors"]


def test_the_file_is_safetensors_with_the_models_weights(tmp_path):
    path = tmp_path / "run.safetensors"
    _, trained = run(path, OPTIMIZERS["AdamW"])
    tensors = load_file(path)
    model = tiny_gpt()
    own = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    model.load_state_dict(own)
    assert torch.equal(weights(model), trained)
