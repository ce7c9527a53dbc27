"""Executes the chapters again when what they import has changed, and only then.

Jupyter's cache knows a notebook by the text of its cells. It does not see that the library, the
data or torch are others than when it ran them. So the cache lies in a folder that is named after
all of these; Sphinx reads every page again when that name changes.
"""

import hashlib
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import kernels
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

logger = logging.getLogger(__name__)

KEPT = 3  # caches of this many states of the library: going back to a branch costs nothing
# What is computed with, and need not be what requirements.txt pins: a torch that was found is kept.
PACKAGES = ("torch", "numpy", "matplotlib", "ipywidgets", "anywidget")
IGNORED = {"__pycache__", ".ipynb_checkpoints", "_build"}


def watched_files(root: Path, watched: list[str]) -> list[Path]:
    """Every file that the outputs of a chapter may depend on, besides the chapter itself."""
    found: list[Path] = []
    for name in watched:
        path = root / name
        found += [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sorted(
        p for p in found if p.suffix != ".ipynb" and not IGNORED & set(p.relative_to(root).parts)
    )


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def fingerprint(root: Path, watched: list[str]) -> str:
    """Names the state of the library, its requirements and what is installed."""
    digest = hashlib.sha256(platform.python_version().encode())
    for package in PACKAGES:
        digest.update(f"{package}=={installed(package)}\n".encode())
    for path in watched_files(root, watched):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()[:16]


def prune(caches: Path, keep: Path) -> None:
    """Removes all but the caches that were used last."""
    others = [p for p in caches.iterdir() if p.is_dir() and p != keep]
    others.sort(key=lambda p: p.stat().st_mtime, reverse=True)
    for old in others[KEPT - 1 :]:
        shutil.rmtree(old)


def choose_cache(app: Sphinx, config: Config) -> None:
    caches = Path(app.outdir).parent / ".jupyter_cache"
    cache = caches / fingerprint(Path(app.srcdir), config["book_watched"])
    if caches.exists() and not cache.exists():
        logger.info("The library or its requirements have changed: chapters run again.")
    cache.mkdir(parents=True, exist_ok=True)
    cache.touch()
    prune(caches, cache)
    config["nb_execution_cache_path"] = str(cache)


def forget_pages_with_warnings(app: Sphinx, exception: Exception | None) -> None:
    """Reads every page again in the next build, so that a warning stays until it is mended."""
    if app._warncount:
        (Path(app.doctreedir) / "environment.pickle").unlink(missing_ok=True)


def setup(app: Sphinx) -> dict[str, bool]:
    kernels.encrypt()
    app.add_config_value(
        "book_watched", ["lib/underglass", "requirements.txt", "chapters"], "env", (list,)
    )
    app.connect("config-inited", choose_cache)
    app.connect("build-finished", forget_pages_with_warnings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
