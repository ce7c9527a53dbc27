"""`python -m underglass.data [NAME ...]`: fetch data beforehand, and say what it takes."""

import argparse
import sys
import time

from . import DataError, cache_folder, entry_named, sources
from .store import is_complete, obtain, place
from .table import GROUPS, Entry


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m underglass.data", description=__doc__)
    groups = ", ".join(f"{group!r} ({' '.join(names)})" for group, names in GROUPS.items())
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"data sets, or {groups}")
    parser.add_argument("--list", action="store_true", help="print the table and fetch nothing")
    options = parser.parse_args(arguments)
    if options.list:
        print(sources())
        return 0
    wanted = [name for given in options.names or ["tests"] for name in GROUPS.get(given, (given,))]
    try:
        fetch_all(list(dict.fromkeys(wanted)))
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def fetch_all(names: list[str]) -> None:
    """Fetch `names` and print a line or two for each, with megabytes, and a total."""
    entries = [entry_named(name) for name in names]  # all names are checked before any work
    print(f"Data goes to {cache_folder()}", flush=True)
    fetched: list[float] = []
    for entry in entries:
        label = f"{entry.name + ':':11}"

        def tell(line: str, megabytes: float, label: str = label) -> None:
            print(label, line, flush=True)
            fetched.append(megabytes)

        start = time.perf_counter()
        if not entry.sources:
            print(f"{label} comes with underglass", flush=True)
        elif is_complete(entry, thorough=True):
            print(f"{label} already there, {megabytes_of(entry):.1f} MB", flush=True)
        else:
            obtain(entry, tell, thorough=True)
            seconds = time.perf_counter() - start
            print(f"{label} ready after {seconds:.0f} s, {megabytes_of(entry):.1f} MB", flush=True)
    print(f"Total: {sum(map(megabytes_of, entries)):.1f} MB, {sum(fetched):.1f} MB fetched now")


def megabytes_of(entry: Entry) -> float:
    """What the files of `entry` take in the cache."""
    files = [path for path in place(entry).rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files) / 1e6 if entry.sources else 0.0


if __name__ == "__main__":
    sys.exit(main())
