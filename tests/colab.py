"""An environment like a hosted notebook's, made once: `python tests/colab.py`.

Old ipywidgets and IPython, without this library and without the packages that Colab lacks; torch
is linked from the environment that runs this, since it is gigabytes on some machines.
"""

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

from environment import digest, python_of, say

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".venv-colab"
LISTED = Path(__file__).with_name("colab.txt")
# What the first cell of a chapter adds there, kept as wheels so that the test needs no network.
LACKS = ("jaxtyping", "wadler-lindig")


def site_packages(folder: Path) -> Path:
    if os.name == "nt":
        return folder / "Lib" / "site-packages"
    return folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def pip(folder: Path, *arguments: str) -> None:
    command = [str(python_of(folder)), "-m", "pip", *arguments, "--quiet"]
    subprocess.run([*command, "--disable-pip-version-check"], check=True)


def link_torch(folder: Path) -> None:
    """Make this Python's torch importable there, and nothing else of what stands beside it."""
    spec = importlib.util.find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    here, alone = Path(spec.origin).parents[1], folder / "torch-alone"
    alone.mkdir(exist_ok=True)
    for part in ("torch", "torchgen", "functorch", "torch-*.dist-info"):
        for found in here.glob(part):
            (alone / found.name).symlink_to(found, target_is_directory=True)
    (site_packages(folder) / "torch.pth").write_text(f"{alone}\n")


def make(folder: Path = FOLDER) -> None:
    pins = {name: importlib.metadata.version(name) for name in (*LACKS, "torch")}
    wanted = digest(LISTED.read_text("utf-8") + json.dumps(pins))
    stamp = folder / "installed.json"
    if stamp.exists() and json.loads(stamp.read_text()) == wanted:
        return
    say("making an environment like Colab's, for the test of the chapters' first cell")
    venv.create(folder, with_pip=True, clear=True)
    pip(folder, "install", "--no-deps", "-r", str(LISTED))
    lacking = [f"{name}=={pins[name]}" for name in LACKS]
    pip(folder, "download", "--no-deps", "-d", str(folder / "wheels"), *lacking)
    link_torch(folder)
    stamp.write_text(json.dumps(wanted))


if __name__ == "__main__":
    make()
