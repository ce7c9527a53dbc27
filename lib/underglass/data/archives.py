"""Reading single members out of wheels, source distributions and installed packages.

Nothing is imported or run, and nothing is unpacked that was not asked for by name.
"""

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial
from importlib import metadata
from io import BufferedIOBase
from pathlib import Path, PurePosixPath
from typing import cast

from .errors import DamagedDataError
from .table import Source

Members = Mapping[str, Callable[[], BufferedIOBase]]  # name in the archive -> opens it for reading


@contextmanager
def archive_members(archive: Path, source: Source) -> Iterator[Members]:
    """The members of a verified archive, or of the archive inside it that `source.inner` names."""
    with _damage_named(source), open(archive, "rb") as file, _opened(file) as members:
        if source.kind == "sdist":  # all lies below one folder, NAME-VERSION
            members = {name.partition("/")[2]: member for name, member in members.items()}
        with _inner(members, source) as wanted:
            yield wanted


@contextmanager
def installed_members(source: Source) -> Iterator[Members | None]:
    """The files of the installed package, or None: not installed, or not with these files."""
    try:
        package = metadata.distribution(source.distribution)
    except metadata.PackageNotFoundError:
        yield None
        return
    places = {str(file): Path(str(package.locate_file(file))) for file in package.files or ()}
    members = {name: partial(place.open, "rb") for name, place in places.items() if place.is_file()}
    wanted = source.inner or source.root
    if package.version != source.version or not any(name.startswith(wanted) for name in members):
        yield None
        return
    with _damage_named(source), _inner(members, source) as found:
        yield found


def copy_members(members: Members, files: tuple[str, ...], source: Source, folder: Path) -> None:
    """Copy what matches the patterns `files` below `source.root` into `folder`."""
    below = {
        name.removeprefix(source.root): member
        for name, member in members.items()
        if name.startswith(source.root)
    }
    for pattern in files:
        found = [name for name in below if fnmatchcase(name, pattern)]
        if not found and not source.complete:
            raise DamagedDataError(f"{source.release} has no member {source.root + pattern!r}")
        for name in found:
            if ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute():
                raise DamagedDataError(f"{source.release} has an unsafe member name {name!r}")
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with below[name]() as reader, open(target, "wb") as writer:
                shutil.copyfileobj(reader, writer)


@contextmanager
def _inner(members: Members, source: Source) -> Iterator[Members]:
    if not source.inner:
        yield members
        return
    if source.inner not in members:
        raise DamagedDataError(f"{source.release} has no member {source.inner!r}")
    with members[source.inner]() as file, _opened(file) as inside:
        yield inside


@contextmanager
def _opened(file: BufferedIOBase) -> Iterator[Members]:
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            yield {i.filename: _opener(archive.open, i) for i in archive.infolist()}
        return
    file.seek(0)
    with tarfile.open(fileobj=file) as archive:
        regular = [member for member in archive.getmembers() if member.isfile()]
        yield {m.name: _opener(archive.extractfile, m) for m in regular}


def _opener(extract: Callable, member: object) -> Callable[[], BufferedIOBase]:
    return cast(Callable[[], BufferedIOBase], partial(extract, member))


@contextmanager
def _damage_named(source: Source) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as error:
        raise DamagedDataError(
            f"{source.release} holds an archive that is cut off or damaged ({error})"
        ) from error
