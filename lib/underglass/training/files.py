"""Files that are there whole or not at all, whatever happens while they are written."""

import os
from contextlib import suppress
from pathlib import Path


def temporary_of(path: Path) -> Path:
    """The name under which `path` is written first; always the same, so that none are left over.

    A process that is killed while it writes leaves this file; the next one writes over it.
    """
    return path.with_name(f".{path.name}.partial")


def replace_file(path: Path, content: bytes) -> None:
    """Write a temporary file, make the disk hold it, and give it the name `path`: all or nothing.

    Renaming is one operation of the file system: who opens `path` finds the old content or the new,
    never a mixture, even if the power fails in between.

    Raises:
        OSError: if the folder or the disk does not take it; `path` is as it was, and there is no
            temporary file.
    """
    temporary = temporary_of(path)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else the name could reach the disk before the content
        temporary.replace(path)
    except OSError as error:
        reason = f"cannot write {path} ({error.strerror}); what was there is unchanged"
        raise OSError(error.errno, reason) from error
    finally:
        _remove(temporary)
    _sync_folder(path.parent)


def check_writable(path: Path) -> None:
    """Make the folder if need be, and try to write in it: better now than after hours of work.

    Raises:
        OSError: if nothing can be written there.
        IsADirectoryError: if `path` is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: expected the name of a file")
    temporary = temporary_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(b"")
        temporary.unlink()
    except OSError as error:
        raise OSError(error.errno, f"cannot write {path} ({error.strerror})") from error


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # where a folder cannot be opened, and a rename is on the disk at once
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    with suppress(OSError):  # of the folder that could not be written to: nothing is in it
        path.unlink(missing_ok=True)
