"""Reads the library's names, signatures and docstrings from its source, without importing it.

A docstring is plain text: paragraphs, indented code, `names` in backticks, and these sections:

    Args:
        name, other: text that may run on
            in the lines below.

    Returns:
        A sentence.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path

from signatures import annotation_text, class_signature, decorators, signature, types

SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises")
SENTENCES = ("Returns", "Yields")  # sections without names in them
Definition = ast.FunctionDef | ast.ClassDef
TYPE = re.compile(r"[A-Z][a-z]\w*$")  # the name of a type, and not of a constant
# Torch calls these itself; nobody reads about them.
HOOKS = {"extra_repr"}
PROPERTY = {"property", "cached_property"}


@dataclass(frozen=True)
class Docstring:
    """A docstring, taken apart: `blocks` are the paragraphs and code before the first section."""

    blocks: tuple[str, ...]
    sections: dict[str, tuple[tuple[str, str], ...]]  # "Args": (("name, other", "text"), ...)

    @property
    def summary(self) -> str:
        return " ".join(self.blocks[0].split()) if self.blocks else ""


NO_DOCSTRING = Docstring((), {})


def split_docstring(text: str) -> Docstring:
    """Takes a docstring apart."""
    head = re.compile(rf"^({'|'.join(SECTIONS)}):\n", re.MULTILINE)
    before, *rest = head.split(cleandoc(text) + "\n")
    sections = {
        name: (("", _flat(body)),) if name in SENTENCES else tuple(_entries(cleandoc("\n" + body)))
        for name, body in zip(rest[::2], rest[1::2], strict=True)
    }
    return Docstring(tuple(_blocks(before)), sections)


def is_code(block: str) -> bool:
    """Whether a block is indented: code, or lines that are to stay as they are."""
    return block.startswith("    ")


def _blocks(text: str) -> Iterator[str]:
    """The paragraphs; code with blank lines in it is one block."""
    last = ""
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if last and not (is_code(last) and is_code(block)):
            yield last
            last = ""
        last = f"{last}\n\n{block}" if last else block
    if last:
        yield last


def _entries(body: str) -> Iterator[tuple[str, str]]:
    """(names, text) of each entry; the lines that it runs on in are indented."""
    for entry in re.split(r"\n(?=\S)", body):
        names, _, text = entry.partition(":")
        yield names, _flat(text)


def _words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text))


def _flat(text: str) -> str:
    return " ".join(text.split())


# Names --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Name:
    """A function, a class, a method or property of one, or the name of a type."""

    module: str  # where it is imported from, without the library: "models.bert"
    name: str  # "BERT", "BERT.pool"
    kind: str  # function, class, method, classmethod, staticmethod, property or data
    signature: str
    doc: Docstring
    members: tuple["Name", ...] = ()


@dataclass(frozen=True)
class Module:
    """A file of the library, or a package."""

    name: str  # "losses", "losses.language"; "" is the library itself
    path: Path
    doc: Docstring
    names: tuple[Name, ...]  # the public ones, in the order of the file
    exported: tuple[str, ...] | None  # __all__, where there is one


class Library:
    """Every module of the package in folder `root`, by its name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        exported = {_module_name(root, p): _exported(p) for p in root.rglob("__init__.py")}
        self.modules = {
            (name := _module_name(root, path)): read_module(path, name, exported)
            for path in sorted(root.rglob("*.py"))
        }
        self.objects = {
            f"{name.module}.{name.name}".lstrip("."): name
            for module in self.modules
            for top in self.shown(module)
            for name in (top, *top.members)
        }

    def shown(self, module: str) -> tuple[Name, ...]:
        """The names of a module that a reader is meant to use.

        Where a package says in `__all__` what it offers, nothing else in it is meant for readers.
        """
        offered = self.modules[module].exported
        package = module.rpartition(".")[0]
        if offered is None and package in self.modules and package:
            offered = self.modules[package].exported
        names = self.modules[module].names
        if offered is not None:
            return tuple(name for name in names if name.name in offered)
        signatures = "\n".join(n.signature for top in names for n in (top, *top.members))
        return tuple(n for n in names if n.kind != "data" or _words(signatures)[n.name] > 1)

    def parts(self, package: str) -> list[str]:
        """The files of a package that hold what it offers in `__all__`."""
        if self.modules[package].exported is None:
            return []
        inside = [name for name in self.modules if name.rpartition(".")[0] == package]
        return [name for name in inside if self.shown(name)]

    def find(self, word: str, module: str) -> str | None:
        """The full name of what a docstring of `module` calls `word`, if it is the library's."""
        word = word.removeprefix("underglass.").partition("(")[0]
        if not re.fullmatch(r"[\w.]+", word):
            return None
        place = f"{module}."
        while place:  # first in the same module, then in the packages around it
            place = place.rpartition(".")[0]
            if (name := f"{place}.{word}".lstrip(".")) in self.objects:
                return name
        ends = [name for name in self.objects if f".{name}".endswith(f".{word}")]
        return ends[0] if len(ends) == 1 and word[:1].isupper() else None


def read_module(path: Path, name: str, exported: dict[str, tuple[str, ...] | None]) -> Module:
    """What stands in a file. What its package offers by `__all__` is named after the package."""
    source = path.read_text("utf-8")
    tree = ast.parse(source, str(path))
    package = name.rpartition(".")[0]
    offered = exported.get(package) or ()
    names = []
    for node, overloads in _definitions(tree.body):
        place = package if node.name in offered else name
        names.append(_name(source, place, node, overloads))
    names += [
        Name(package if n in offered else name, n, "data", text, NO_DOCSTRING)
        for n, text in types(source, tree)
        if TYPE.match(n)
    ]
    doc = split_docstring(ast.get_docstring(tree) or "")
    return Module(name, path, doc, tuple(names), exported.get(name))


def _module_name(root: Path, path: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def _exported(path: Path) -> tuple[str, ...] | None:
    for node in ast.parse(path.read_text("utf-8"), str(path)).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                return tuple(ast.literal_eval(value))
    return None


def _definitions(body: list[ast.stmt]) -> Iterator[tuple[Definition, list[Definition]]]:
    """The public functions and classes, each with its overloads."""
    overloads: list[Definition] = []
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            if "overload" in decorators(node):
                overloads.append(node)
            else:
                yield node, overloads
                overloads = []


def _name(source: str, module: str, node: Definition, overloads: list[Definition]) -> Name:
    doc = split_docstring(ast.get_docstring(node) or "")
    if isinstance(node, ast.FunctionDef):
        texts = [
            signature(source, n) for n in overloads or [node] if isinstance(n, ast.FunctionDef)
        ]
        return Name(module, node.name, "function", "\n".join(texts), doc)
    members = [
        Name(module, f"{node.name}.{m.name}", *_method(source, m), split_docstring(text or ""))
        for m, _ in _definitions(node.body)
        if m.name not in HOOKS
        and isinstance(m, ast.FunctionDef)
        and ((text := ast.get_docstring(m)) or m.name == "forward" or PROPERTY & set(decorators(m)))
    ]
    return Name(module, node.name, "class", class_signature(source, node), doc, tuple(members))


def _method(source: str, node: ast.FunctionDef) -> tuple[str, str]:
    """What kind of method it is, and its signature."""
    found = decorators(node)
    if PROPERTY & set(found):
        returns = f" -> {annotation_text(source, node.returns)}" if node.returns else ""
        return "property", node.name + returns
    kind = next((d for d in found if d in ("classmethod", "staticmethod")), "method")
    return kind, signature(source, node, skip=0 if kind == "staticmethod" else 1)
