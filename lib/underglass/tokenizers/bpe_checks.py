"""What BPE refuses before any work is done: texts, ids and vocabularies that cannot be right."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import index
from typing import Any

from torch import Tensor

from underglass.tokenizers.merges import BYTES, Merge


def text(name: str, value: str) -> None:
    """Refuse what is not a string, or holds what UTF-8 cannot write."""
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r}: expected a string")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name} holds {value[error.start]!r} at {error.start}, half of a surrogate pair: "
            "expected whole characters, for UTF-8 has no bytes for a half"
        ) from error


def texts(values: Iterable[str]) -> list[str]:
    """The texts as a list of at least one."""
    if isinstance(values, str):
        raise TypeError(f"texts={_short(values)} is one text: expected a list of texts")
    values = list(values)
    for i, value in enumerate(values):
        text(f"texts[{i}]", value)
    if not values:
        raise ValueError("texts is empty: expected at least one text")
    return values


def names(values: Iterable[str]) -> list[str]:
    """The names of special tokens as a list, each there once."""
    if isinstance(values, str):
        raise TypeError(f"special={values!r} is one token: expected a list of tokens")
    values = list(values)
    for value in values:
        _name(value)
        if values.count(value) > 1:
            raise ValueError(f"special has {value!r} twice: expected every token once")
    return values


def _name(value: str) -> None:
    text("special token", value)
    if not value:
        raise ValueError("special has an empty token: expected characters to find it by")


def special(ids: Mapping[str, int]) -> None:
    """Refuse special tokens that are no text, and ids that are no whole numbers."""
    for name, i in ids.items():
        _name(name)
        _whole(i, "special")


def size(vocab_size: int, special_names: Sequence[str]) -> int:
    """The size, if it has room for the bytes and the special tokens."""
    if isinstance(vocab_size, bool) or not isinstance(vocab_size, int):
        raise TypeError(f"vocab_size={vocab_size!r}: expected a whole number")
    if vocab_size < len(BYTES) + len(special_names):
        raise ValueError(
            f"vocab_size={vocab_size}: expected room for {len(BYTES)} bytes and "
            f"{len(special_names)} special tokens, {len(BYTES) + len(special_names)} or more"
        )
    return vocab_size


def vocab(tokens: Mapping[bytes, int], merges: Sequence[Merge], special: Mapping[str, int]) -> None:
    """Refuse tokens whose ids are not 0, 1, 2, ..., and merges of what is no token."""
    for byte in BYTES:
        if byte not in tokens:
            raise ValueError(f"vocab has no {byte!r}: expected every single byte")
    for left, right in merges:
        for token in (left, right, left + right):
            if token not in tokens:
                raise ValueError(
                    f"vocab has no {token!r}: expected it, for {left!r} and {right!r} merge"
                )
    for name in special:
        if name.encode() in tokens:
            raise ValueError(f"special token {name!r} is in vocab too: expected every token once")
    found = [*tokens.values(), *special.values()]
    if sorted(found) != list(range(len(found))):
        times = Counter(found)
        wrong = next(i for i in range(len(found)) if times[i] != 1)
        raise ValueError(
            f"id {wrong} belongs to {times[wrong]} tokens: expected each of 0 to {len(found) - 1} "
            "to belong to one"
        )


def two_parts(token: bytes, parts: Sequence[bytes]) -> Sequence[bytes]:
    """The parts of a token of tiktoken's ranks, if they are two."""
    if len(parts) != 2:
        raise ValueError(
            f"ranks has {token!r}, which the tokens of lower rank make of {list(parts)}: "
            "expected two parts, as byte-pair encoding learns them"
        )
    return parts


def ids(values: Iterable[int] | Tensor, vocab_size: int, name: str = "ids") -> list[int]:
    """The ids as a list of Python's numbers, all of them in the vocabulary."""
    values = values.tolist() if isinstance(values, Tensor) else values
    found = [_whole(i, name) for i in values]
    for i in found:
        if not 0 <= i < vocab_size:
            raise ValueError(f"{name} holds {i}: expected numbers from 0 to {vocab_size - 1}")
    return found


def _whole(i: Any, name: str) -> int:
    try:
        return index(i)  # NumPy's and torch's whole numbers too
    except TypeError as error:
        raise TypeError(f"{name} holds {i!r}: expected whole numbers") from error


def _short(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:40] + "...")
