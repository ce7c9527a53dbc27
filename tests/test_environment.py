"""The script that `make` calls first: what it keeps, what it installs, what it refuses."""

import json
from pathlib import Path

import environment
import pytest

PYPROJECT = 'dependencies = [\n  "torch>=2.6",\n]'


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project folder with an environment folder, and a record of what would be installed."""
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "requirements.txt").write_text("numpy==2.1.3\ntorch==2.13.0\n-e .\n")
    (tmp_path / "requirements-dev.txt").write_text("pytest==9.2.0\n")
    python = environment.python_of(tmp_path / ".venv")
    python.parent.mkdir(parents=True)
    python.touch()
    asked: list[str] = []
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "install", lambda python, text: asked.append(text))
    return tmp_path, asked


def make(folder: Path, *names: str) -> None:
    environment.make(folder / ".venv", [folder / name for name in names])


@pytest.mark.parametrize(
    ("version", "good"),
    [("2.13.0", True), ("2.11.0+cu128", True), ("2.6.0", True), ("2.5.1", False)]
    + [("1.13.1", False), ("3.0.0", True), ("", False)],
)
def test_which_torch_suits(version, good):
    assert environment.suits(version, PYPROJECT) is good


def test_range_is_read_from_the_real_project():
    assert environment.suits("2.13.0", (environment.ROOT / "pyproject.toml").read_text())
    with pytest.raises(ValueError, match="torch>=X.Y"):
        environment.suits("2.13.0", "dependencies = []")


def test_a_suitable_torch_is_kept(project, monkeypatch, capsys):
    folder, asked = project
    monkeypatch.setattr(environment, "torch_of", lambda python: "2.11.0+cu128")
    make(folder, "requirements.txt")
    assert asked == ["numpy==2.1.3\n-e .\n"]
    assert "torch 2.11.0+cu128 is here and stays" in capsys.readouterr().out


@pytest.mark.parametrize("torch", ["", "2.5.1"])
def test_without_a_suitable_torch_the_pin_is_installed(project, monkeypatch, torch):
    folder, asked = project
    monkeypatch.setattr(environment, "torch_of", lambda python: torch)
    make(folder, "requirements.txt")
    assert "torch==2.13.0" in asked[0]


def test_nothing_changed_installs_nothing(project, monkeypatch):
    folder, asked = project
    monkeypatch.setattr(environment, "torch_of", lambda python: "2.13.0+cpu")
    make(folder, "requirements.txt", "requirements-dev.txt")
    make(folder, "requirements.txt")  # what `make book` asks after `make test`
    make(folder, "requirements.txt", "requirements-dev.txt")
    assert len(asked) == 1
    (folder / "requirements.txt").write_text("numpy==2.2.0\n")
    make(folder, "requirements.txt")
    assert len(asked) == 2
    stamp = json.loads((folder / ".venv" / "installed.json").read_text())
    assert set(stamp) == {"requirements.txt", "requirements-dev.txt"}


def test_a_failed_install_leaves_no_stamp(project, monkeypatch):
    folder, _ = project
    monkeypatch.setattr(environment, "torch_of", lambda python: "")

    def fails(python, text):
        raise SystemExit("pip could not install this")

    monkeypatch.setattr(environment, "install", fails)
    with pytest.raises(SystemExit):
        make(folder, "requirements.txt")
    assert not (folder / ".venv" / "installed.json").exists()


def test_old_python_is_refused(monkeypatch):
    monkeypatch.setattr(environment, "OLDEST_PYTHON", (99, 0))
    monkeypatch.setattr("sys.argv", ["environment.py"])
    with pytest.raises(SystemExit, match="Python 3.11 or newer is needed, this is"):
        environment.main()
