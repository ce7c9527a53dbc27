"""Writes a function's or a class's signature from its source, laid out for the column of a page.

    causal_mask(
        size: int,
        device: torch.device | None = None,
        *,
        past: int = 0,
    ) -> Bool[Tensor, "{size} {past+size}"]

Annotations and defaults stand as they were written, and so do the comments beside them.
"""

import ast
import re
from collections.abc import Iterator

WIDTH = 76  # letters of code in a line of the page's column


def decorators(node: ast.FunctionDef | ast.ClassDef) -> list[str]:
    """The decorators' names: "dataclass" for `@dataclass(frozen=True)`."""
    return [ast.unparse(decorator).partition("(")[0] for decorator in node.decorator_list]


def class_signature(source: str, node: ast.ClassDef) -> str:
    """How it is made: by `__init__`, or from the fields of a dataclass."""
    made = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    if made:
        return signature(source, made[0], name=node.name, skip=1)
    if "dataclass" in decorators(node) or "NamedTuple" in map(ast.unparse, node.bases):
        fields = [n for n in node.body if isinstance(n, ast.AnnAssign)]
        return _call(node.name, [_field(source, n) for n in fields])
    return node.name


def types(source: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The public names given to types (and all else that is assigned), with text and comment."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name[0] != "_":
                comment = _comment(source, value)
                yield name, f"{name} = {_source(source, value)}{comment and f'  # {comment}'}"


def signature(source: str, node: ast.FunctionDef, *, name: str = "", skip: int = 0) -> str:
    """How it is called, under its own name or another, without its first `skip` arguments."""
    args = node.args
    plain = [*args.posonlyargs, *args.args]
    first_default = len(plain) - len(args.defaults)
    parts = [
        _argument(source, arg, args.defaults[i - first_default] if i >= first_default else None)
        for i, arg in enumerate(plain)
    ][skip:]
    if args.vararg:
        parts.append(("*" + _argument(source, args.vararg)[0], ""))
    elif args.kwonlyargs:
        parts.append(("*", ""))
    keyword = zip(args.kwonlyargs, args.kw_defaults, strict=True)
    parts += [_argument(source, arg, default) for arg, default in keyword]
    if args.kwarg:
        parts.append(("**" + _argument(source, args.kwarg)[0], ""))
    returns = [] if name or node.returns is None else _alternatives(source, node.returns)
    return _call(name or node.name, parts, returns)


def _argument(source: str, arg: ast.arg, default: ast.expr | None = None) -> tuple[str, str]:
    """`name: annotation = default`, and the comment beside it."""
    note = f": {annotation_text(source, arg.annotation)}" if arg.annotation else ""
    value = "" if default is None else (" = " if note else "=") + _source(source, default)
    return f"{arg.arg}{note}{value}", _comment(source, default or arg)


def _field(source: str, node: ast.AnnAssign) -> tuple[str, str]:
    value = "" if node.value is None else f" = {_source(source, node.value)}"
    text = f"{ast.unparse(node.target)}: {annotation_text(source, node.annotation)}{value}"
    return text, _comment(source, node)


def _call(name: str, parts: list[tuple[str, str]], returns: list[str] | None = None) -> str:
    """The signature in one line where it fits, else one argument a line with its comment."""
    arrow = " -> " if returns else ""
    line = f"{name}({', '.join(text for text, _ in parts)}){arrow}{' | '.join(returns or [])}"
    if len(line) <= WIDTH and not any(comment for _, comment in parts):
        return line
    lines = [f"    {text},{f'  # {comment}' if comment else ''}" for text, comment in parts]
    joined = " | ".join(returns or [])
    if len(joined) > WIDTH - 5:
        joined = "\n   | ".join(returns or [])
    return "\n".join([f"{name}(", *lines, f"){arrow}{joined}"])


def _alternatives(source: str, annotation: ast.expr) -> list[str]:
    """`A | B | C` taken apart."""
    match annotation:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return [*_alternatives(source, left), *_alternatives(source, right)]
    return [annotation_text(source, annotation)]


def annotation_text(source: str, annotation: ast.expr) -> str:
    """The text of an annotation, without the quotes around one that names what comes later."""
    match annotation:
        case ast.Constant(value=str() as text):
            return text
    return _source(source, annotation)


def _source(source: str, node: ast.expr) -> str:
    """The text of an expression in one line, as it was written."""
    text = " ".join((ast.get_source_segment(source, node) or ast.unparse(node)).split())
    return re.sub(r",? ?([\])])", r"\1", re.sub(r"([\[(]) ", r"\1", text))


def _comment(source: str, node: ast.AST) -> str:
    """The comment at the end of the line that the node ends in."""
    line = source.splitlines()[getattr(node, "end_lineno", 1) - 1]
    rest = line.encode()[getattr(node, "end_col_offset", 0) :].decode()
    found = re.match(r",?\s*#\s*(.*)", rest)
    return found[1] if found else ""
