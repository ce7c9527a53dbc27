"""Open every Colab link of the book as Colab would: `python book/launch_links.py _build/html`.

Each link must lead to a raw file that parses as a notebook and equals this commit's. Standard
library only; it runs after the book is published, where the address can be reached.
"""

import json
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[1]
COLAB = "colab.research.google.com"
RAW = "https://raw.githubusercontent.com"


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        link = dict(attrs).get("href") or ""
        if tag == "a" and urlsplit(link).hostname == COLAB:
            self.found.add(link)


def colab_links(pages: Path) -> list[str]:
    """Every address of Colab that a page below `pages` links to."""
    links = _Links()
    for page in sorted(pages.rglob("*.html")):
        links.feed(page.read_text("utf-8"))
    return sorted(links.found)


def raw_address(link: str) -> tuple[str, str]:
    """Where Colab reads the notebook of this link, and the notebook's path in the repository.

    Raises:
        ValueError: if the link is not of the form /github/OWNER/NAME/blob/BRANCH/PATH.
    """
    parts = urlsplit(link).path.strip("/").split("/")
    if len(parts) < 6 or parts[0] != "github" or parts[3] != "blob":
        raise ValueError(f"link={link!r}: expected .../github/OWNER/NAME/blob/BRANCH/PATH")
    owner, name, branch, path = parts[1], parts[2], parts[4], "/".join(parts[5:])
    return f"{RAW}/{owner}/{name}/{branch}/{path}", path


def read(address: str) -> bytes:
    with urlopen(address, timeout=60) as answer:
        return answer.read()


def problems(pages: Path, root: Path, read: Callable[[str], bytes] = read) -> Iterator[str]:
    """What is wrong with each link, one line each; nothing where all is well."""
    links = colab_links(pages)
    if not links:
        yield f"{pages}: no page has a Colab link"
    for link in links:
        try:
            address, path = raw_address(link)
            opened = json.loads(read(address))
        except (OSError, ValueError) as error:
            yield f"{link}: {error}"
            continue
        if "cells" not in opened:
            yield f"{address}: parses, but is not a notebook"
        elif opened != json.loads((root / path).read_text("utf-8")):
            yield f"{address}: is not this commit's {path}"


def main() -> None:
    pages = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "_build" / "html"
    found = list(problems(pages, ROOT))
    print(
        "\n".join(found) or f"{len(colab_links(pages))} Colab links lead to this commit's notebooks"
    )
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
