"""A chapter in an environment like Colab's: its first cell adds what the host lacks, no more."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import colab
import nbformat
import notebooks
import pytest
from environment import python_of

ROOT = Path(__file__).parents[1]
# What Colab's own module does for widgets of other packages; that it was called is what counts.
GOOGLE_COLAB_OUTPUT = """
import os, pathlib, types
_widgets = types.SimpleNamespace(_installed_url=None)
def enable_custom_widget_manager():
    pathlib.Path(os.environ["WIDGET_MANAGER_ENABLED"]).touch()
"""
VERSIONS = """
import json, sys, importlib.metadata as m
names = ("torch", "numpy", "ipywidgets", "ipython", "anywidget", "jaxtyping", "underglass")
found = {}
for name in names:
    try:
        found[name] = [m.version(name), str(m.distribution(name).locate_file(""))]
    except m.PackageNotFoundError:
        found[name] = []
print(json.dumps(found))
"""


def git(folder: Path, *arguments: str) -> None:
    author = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """The working tree as the repository that the first cell installs from."""
    folder = tmp_path_factory.mktemp("repository")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    git(folder, "init", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "-m", "as it stands")
    return folder


@pytest.fixture
def host(tmp_path, repository, monkeypatch) -> Path:
    """A fresh environment over the one like Colab's, with `google.colab` loaded as it is there."""
    if not (colab.FOLDER / "installed.json").exists():
        pytest.fail("the environment like Colab's is not there: python tests/colab.py makes it")
    folder = tmp_path / "host"
    venv.create(folder)  # pip, too, is the host's
    site = colab.site_packages(folder)
    lower = colab.site_packages(colab.FOLDER)
    (site / "host.pth").write_text(
        f"{lower}\n{colab.FOLDER / 'torch-alone'}\nimport google.colab.output\n"
    )
    (site / "google" / "colab").mkdir(parents=True)
    (site / "google" / "colab" / "__init__.py").touch()
    (site / "google" / "colab" / "output.py").write_text(GOOGLE_COLAB_OUTPUT)
    spec = tmp_path / "jupyter" / "kernels" / "colab"
    spec.mkdir(parents=True)
    argv = [str(python_of(folder)), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    described = {"argv": argv, "display_name": "like Colab", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(described))
    # The address in the cell stays as it is; git and pip find it here instead of on the network.
    address = notebooks.setup_source().partition('"git+')[2].partition("@")[0]
    for name, value in {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{repository.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": address,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(colab.FOLDER / "wheels"),
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to say: build with the setuptools that is here
        "JUPYTER_PATH": str(tmp_path / "jupyter"),
        "WIDGET_MANAGER_ENABLED": str(tmp_path / "enabled"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return folder


def run(notebook: nbformat.NotebookNode, folder: Path, kernel: str) -> nbformat.NotebookNode:
    """The notebook, executed by a process of its own: the kernel's sockets close with it."""
    path = folder / "chapter.ipynb"
    nbformat.write(notebook, path)
    command = [sys.executable, "-m", "jupyter", "execute", "--inplace", "--timeout=300"]
    done = subprocess.run(
        [*command, f"--kernel_name={kernel}", str(path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return nbformat.read(path, as_version=4)


def versions(host: Path) -> dict[str, list[str]]:
    """Version and place of each package there; an empty list for one that is missing."""
    done = subprocess.run([python_of(host), "-c", VERSIONS], capture_output=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("path", notebooks.chapters(), ids=lambda path: path.stem)
def test_chapter_runs_and_leaves_torch_and_numpy_alone(path, host, tmp_path):
    before = versions(host)
    assert before["underglass"] == before["jaxtyping"] == []
    assert [before[name][0] for name in ("ipywidgets", "ipython", "anywidget")] == [
        "7.7.1",
        "7.34.0",
        "0.9.21",
    ]
    run(notebooks.read(path), tmp_path, "colab")
    after = versions(host)
    added = str(colab.site_packages(host))
    assert after["underglass"][1] == after["jaxtyping"][1] == added
    for name in ("torch", "numpy", "ipywidgets", "ipython", "anywidget"):
        assert after[name] == before[name]
    assert (tmp_path / "enabled").exists()  # Colab was asked to show widgets of other packages


def test_first_cell_does_nothing_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    cell = nbformat.v4.new_code_cell(notebooks.setup_source())
    done = run(nbformat.v4.new_notebook(cells=[cell]), tmp_path, "python3")
    assert done.cells[0].execution_count == 1
    assert done.cells[0].outputs == []
