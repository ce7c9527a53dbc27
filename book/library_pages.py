"""The pages about the library, made from its signatures and docstrings while the book is built.

    ```{library} losses
    :parts: language, masking
    ```

stands for the module `underglass.losses`: what its docstring says, then each of its names with
signature, arguments, results and errors. A package that says in `__all__` what it offers is
followed by its parts: first those that are named, in this order, and then the others.

    ```{library-overview} losses
    ```

is a table of the same names, a line for each. A name in backticks that is the library's leads to
its place; elsewhere in the book `` {py:obj}`underglass.losses.cross_entropy` `` does.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import cast

from docstrings import SENTENCES, Docstring, Library, Module, Name, is_code
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains.python import PythonDomain
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

PACKAGE = "underglass"
TITLES = {"Args": "Arguments", "Attributes": "Fields", "Returns": "Returns"}
TITLES |= {"Yields": "Yields", "Raises": "Raises"}
CHAPTERS = re.compile(r"\s*^Chapters?: [^:]*\Z", re.MULTILINE)
CHAPTER = re.compile(r"(chapters/(\d\d)_(\w+))\.ipynb")


def library(env: BuildEnvironment) -> Library:
    """The library as its files are now."""
    root = Path(env.srcdir) / env.config["library_folder"]
    return _read(root, tuple((path, path.stat().st_mtime_ns) for path in root.rglob("*.py")))


@lru_cache(maxsize=1)
def _read(root: Path, state: tuple[tuple[Path, int], ...]) -> Library:
    """Reads the library once for all pages, and again when a file in it has changed."""
    return Library(root)


class LibraryDirective(SphinxDirective):
    """What both directives share."""

    required_arguments = 1
    option_spec = {"parts": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        found, package = library(self.env), self.arguments[0]
        name = "" if package == PACKAGE else package
        parts = [f"{name}.{part}" for part in re.findall(r"\w+", self.options.get("parts", ""))]
        if missing := [part for part in (name, *parts) if part not in found.modules]:
            raise self.error(f"{PACKAGE} has no module {', '.join(missing)}")
        others = [part for part in found.parts(name) if part not in parts]
        modules = [found.modules[part] for part in (name, *parts, *others)]
        for module in modules:
            self.env.note_dependency(str(module.path))
        return list(self.render(found, modules))

    def render(self, found: Library, modules: list[Module]) -> Iterable[nodes.Node]:
        raise NotImplementedError


class ModulePage(LibraryDirective):
    """`{library}`: a section for the module, and in it one for each of its names."""

    def render(self, found: Library, modules: list[Module]) -> Iterable[nodes.Node]:
        first = modules[0]
        section = self.section(first.name or PACKAGE, full(first.name), "module")
        package, _, name = full(first.name).rpartition(".")
        if name and package:
            code = f"from {package} import {name}"
            section += code_block(code, "python", ["library-import"])
        for module in modules:
            text = Text(self.env, found, module.name)
            kinds = [] if module is first else ["library-part"]
            section += nodes.container("", *text.blocks(module.doc), classes=kinds)
            section += [self.describe(name, text) for name in found.shown(module.name)]
        yield section

    def describe(self, name: Name, text: "Text") -> nodes.section:
        """A function, or a class with its methods."""
        section = self.section(
            name.name.rpartition(".")[2], full(name.module, name.name), name.kind
        )
        section += code_block(prefix(name) + name.signature, "python", ["library-signature"])
        section += text.all(name.doc)
        section += [self.describe(member, text) for member in name.members]
        return section

    def section(self, title: str, full_name: str, kind: str) -> nodes.section:
        """A section that can be linked to by the name, and that the index has."""
        section = nodes.section(ids=[full_name], classes=["library-name", f"library-{kind}"])
        section += nodes.title("", title)
        self.state.document.note_explicit_target(section)
        domain = cast(PythonDomain, self.env.get_domain("py"))
        domain.note_object(full_name, kind, full_name, location=section)
        if kind == "module":
            domain.note_module(full_name, full_name, synopsis="", platform="", deprecated=False)
        else:
            entry = f"{title} ({full_name.rpartition('.')[0].removeprefix(PACKAGE + '.')})"
            section += addnodes.index(entries=[("single", entry, full_name, "", None)])
        return section


class Overview(LibraryDirective):
    """`{library-overview}`: a line for each name of the module and its parts."""

    def render(self, found: Library, modules: list[Module]) -> Iterable[nodes.Node]:
        rows: list[nodes.row] = []
        for module in modules:
            text = Text(self.env, found, module.name)
            if not rows:
                rows.append(row(full(module.name), module.name, text.inline(module.doc.summary)))
            for name in (n for n in found.shown(module.name) if n.kind != "data"):
                summary = text.inline(name.doc.summary)
                rows.append(row(full(name.module, name.name), name.name, summary))
        yield table(*rows)


class Text:
    """Docstrings of one module as nodes: nothing is interpreted but backticks and the chapter."""

    def __init__(self, env: BuildEnvironment, found: Library, module: str) -> None:
        self.env, self.found, self.module = env, found, module

    def all(self, doc: Docstring) -> Iterator[nodes.Node]:
        yield from self.blocks(doc)
        for section, entries in doc.sections.items():
            yield nodes.paragraph("", TITLES[section], classes=["library-label"])
            if section in SENTENCES:
                yield from self.paragraphs(entries[0][1], ["library-returns"])
            else:
                yield nodes.definition_list(
                    "", *(self.entry(*entry) for entry in entries), classes=["library-entries"]
                )

    def blocks(self, doc: Docstring) -> Iterator[nodes.Node]:
        for block in doc.blocks:
            if is_code(block):
                code = re.sub(r"^    ", "", block, flags=re.MULTILINE)
                yield code_block(code, "python" if is_python(code) else "text")
            else:
                chapters = CHAPTERS.search(block)
                yield from self.paragraphs(CHAPTERS.sub("", block))
                for chapter in CHAPTER.finditer(chapters[0] if chapters else ""):
                    yield self.chapter(*chapter.groups())

    def paragraphs(self, text: str, classes: Iterable[str] = ()) -> Iterator[nodes.Node]:
        if text.strip():
            sources = text.startswith(("Reference:", "References:"))
            kinds = [*classes, *(["library-sources"] if sources else [])]
            yield nodes.paragraph("", "", *self.inline(" ".join(text.split())), classes=kinds)

    def entry(self, names: str, text: str) -> nodes.definition_list_item:
        term = nodes.term()
        for index, name in enumerate(names.split(", ")):
            term += [nodes.Text(", " * bool(index)), nodes.literal(text=name)]
        return nodes.definition_list_item(
            "", term, nodes.definition("", nodes.paragraph("", "", *self.inline(text)))
        )

    def inline(self, text: str) -> Iterator[nodes.Node]:
        for index, part in enumerate(re.split(r"`([^`]+)`", text)):
            if index % 2 and (name := self.found.find(part, self.module)):
                yield link(f"{PACKAGE}.{name}", part)
            elif part:
                yield nodes.literal(text=part) if index % 2 else nodes.Text(part)

    def chapter(self, file: str, number: str, name: str) -> nodes.paragraph:
        """A link to the chapter, or its name where it is not written yet."""
        label = f"chapter {number}"
        if file in self.env.found_docs:
            there = xref("std", "doc", f"/{file}", nodes.inline(text=label))
            parts = nodes.Text("Derived in "), there, nodes.Text(".")
            return nodes.paragraph("", "", *parts, classes=["library-sources"])
        text = f"To be derived in {label}, {name.replace('_', ' ')}."
        return nodes.paragraph("", text, classes=["library-sources"])


# Nodes --------------------------------------------------------------------------------------------


def full(*parts: str) -> str:
    """The full name: `underglass.losses.cross_entropy`."""
    return ".".join(part for part in (PACKAGE, *parts) if part)


def prefix(name: Name) -> str:
    return "@classmethod\n" if name.kind == "classmethod" else ""


def code_block(code: str, language: str, classes: Iterable[str] = ()) -> nodes.literal_block:
    return nodes.literal_block(code, code, language=language, classes=list(classes))


def is_python(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True


def link(full_name: str, label: str) -> addnodes.pending_xref:
    """A link to a name of the library; the build fails if no page has it."""
    return xref("py", "obj", full_name, nodes.literal(text=label))


def xref(domain: str, kind: str, target: str, label: nodes.Node) -> addnodes.pending_xref:
    where = dict(refdomain=domain, reftype=kind, reftarget=target)
    return addnodes.pending_xref("", label, **where, refexplicit=True)


def row(full_name: str, label: str, text: Iterable[nodes.Node]) -> nodes.row:
    """A name that leads to its place, and what it is."""
    cells = nodes.paragraph("", "", link(full_name, label)), nodes.paragraph("", "", *text)
    return nodes.row("", *(nodes.entry("", cell) for cell in cells))


def table(head: nodes.row, *rows: nodes.row) -> nodes.table:
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in head), cols=len(head))
    group += [nodes.thead("", head), nodes.tbody("", *rows)]
    return nodes.table("", group, classes=["library-overview", "colwidths-auto"])


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("library_folder", "lib/underglass", "env", (str,))
    app.add_directive("library", ModulePage)
    app.add_directive("library-overview", Overview)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
