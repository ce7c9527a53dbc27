"""Make the environment that the book is built and tested in: `python book/environment.py [--dev]`.

Standard library only, because it runs before anything is installed. It does nothing when the
environment is already up to date, and keeps a torch that it finds and that suits the library:
one built for your GPU is worth more than the pinned version, and is gigabytes to fetch again.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST_PYTHON = (3, 11)
# The library's own range for torch (pyproject.toml): read there, so that it is said once.
TORCH_RANGE = re.compile(r'"torch>=(\d+)\.(\d+)"')
FIND_TORCH = (
    "import importlib.util as u, importlib.metadata as m; "
    "print(m.version('torch') if u.find_spec('torch') else '')"
)


def say(text: str) -> None:
    print(f"[environment] {text}", flush=True)


def python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def torch_of(python: Path) -> str:
    """The version of the torch that this Python sees, or an empty string."""
    done = subprocess.run([str(python), "-c", FIND_TORCH], capture_output=True, text=True)
    return done.stdout.strip()


def suits(version: str, pyproject: str) -> bool:
    """Whether the library accepts this torch. Its parts after a + (`2.11.0+cu128`) do not count."""
    found = TORCH_RANGE.search(pyproject)
    if found is None:
        raise ValueError('pyproject.toml: expected a dependency written as "torch>=X.Y"')
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return bool(numbers) and tuple(map(int, numbers.groups())) >= tuple(map(int, found.groups()))


def wanted(files: Sequence[Path], keep_torch: bool) -> str:
    """The requirements as one text, without the pinned torch where another one is kept."""
    lines = [line for file in files for line in file.read_text("utf-8").splitlines()]
    return "".join(line + "\n" for line in lines if not (keep_torch and line.startswith("torch==")))


def create(folder: Path, pyproject: str) -> None:
    """A virtual environment that also sees the outer Python's torch, where that one suits."""
    outside = torch_of(Path(sys.executable))
    if keep := suits(outside, pyproject):
        say(f"torch {outside} of {sys.executable} suits the library: it stays in use")
    say(f"making {folder.name}")
    venv.create(folder, with_pip=True, system_site_packages=keep)


def make(folder: Path, files: Sequence[Path]) -> None:
    """Bring the environment in `folder` up to what `files` ask for."""
    pyproject = (ROOT / "pyproject.toml").read_text("utf-8")
    python, stamp = python_of(folder), folder / "installed.json"
    if not python.exists():
        create(folder, pyproject)
    installed = json.loads(stamp.read_text()) if stamp.exists() else {}
    asked = {file.name: digest(file.read_text("utf-8") + pyproject) for file in files}
    keep = suits(torch := torch_of(python), pyproject)
    if keep and all(installed.get(name) == value for name, value in asked.items()):
        return
    say(f"torch {torch} is here and stays" if keep else "torch is not here yet: the largest part")
    say(f"installing what {' and '.join(asked)} ask for; minutes at first, seconds after that")
    install(python, wanted(files, keep))
    stamp.write_text(json.dumps({**installed, **asked}))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def install(python: Path, requirements: str) -> None:
    """`pip install` from the project's root, where `-e .` is the project itself."""
    with tempfile.TemporaryDirectory() as temporary:
        listed = Path(temporary) / "requirements.txt"
        listed.write_text(requirements, "utf-8")
        pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
        done = subprocess.run([*pip, "--progress-bar", "off", "-r", str(listed)], cwd=ROOT)
    if done.returncode:
        sys.exit("[environment] pip could not install this; its message above says why")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dev", action="store_true", help="also what the tests need")
    parser.add_argument("--folder", type=Path, default=ROOT / ".venv")
    arguments = parser.parse_args()
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(
            f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: make PYTHON=..."
        )
    names = ["requirements.txt", "requirements-dev.txt"] if arguments.dev else ["requirements.txt"]
    make(arguments.folder, [ROOT / name for name in names])


if __name__ == "__main__":
    main()
