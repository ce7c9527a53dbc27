"""A byte-level BPE as a tokenizer.json, the file that Hugging Face's libraries read and write.

JSON has no bytes. So each byte is written as one visible character: as itself where it is one, or
else as a letter from U+0100 on. The space is "Ġ", and the token " the" is spelled "Ġthe".
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from underglass.tokenizers.merges import BYTES, VISIBLE, Merge
from underglass.tokenizers.words import GPT2_PATTERN

LETTERS = {  # byte -> the character that it is written as
    byte[0]: chr(byte[0] if i < len(VISIBLE) else 0x100 + i - len(VISIBLE))
    for i, byte in enumerate(BYTES)
}
_BYTES = {letter: byte for byte, letter in LETTERS.items()}


class Recipe(NamedTuple):
    """All that makes up a byte-level BPE; `BPE` says what each part is."""

    vocab: Mapping[bytes, int]
    merges: Sequence[Merge]
    special: Mapping[str, int]
    pattern: str
    whole_words: bool


def spell(token: bytes) -> str:
    """b" the" as "Ġthe"."""
    return "".join(LETTERS[byte] for byte in token)


def unspell(letters: str) -> bytes:
    """ "Ġthe" as b" the".

    Raises:
        ValueError: if one of the letters stands for no byte.
    """
    if any(letter not in _BYTES for letter in letters):
        raise ValueError(f"token {letters!r}: expected bytes, spelled as GPT-2 does ('Ġthe')")
    return bytes(_BYTES[letter] for letter in letters)


# ----------------------------------------------------------------------- writing


def to_json(recipe: Recipe) -> dict[str, Any]:
    """The content of the recipe's tokenizer.json."""
    vocab = {spell(token): i for token, i in recipe.vocab.items()}
    for name in recipe.special:
        if name in vocab:
            raise ValueError(
                f"special token {name!r} is how {unspell(name)!r} is spelled: expected another name"
            )
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(name, i) for name, i in _by_id(recipe.special)],
        "normalizer": None,
        "pre_tokenizer": _splitter(recipe.pattern, byte_level),
        "post_processor": None,
        "decoder": byte_level | {"use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": recipe.whole_words,
            "vocab": dict(_by_id(vocab | dict(recipe.special))),
            "merges": [f"{spell(left)} {spell(right)}" for left, right in recipe.merges],
        },
    }


def _by_id(ids: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(ids.items(), key=lambda item: item[1])


def _added(name: str, i: int) -> dict[str, Any]:
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": i, "content": name, **plain, "special": True}


def _splitter(pattern: str, byte_level: dict[str, Any]) -> dict[str, Any]:
    if pattern == GPT2_PATTERN:  # it is built in
        return byte_level | {"use_regex": True}
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}
    steps = [split | {"invert": False}, byte_level | {"use_regex": False}]
    return {"type": "Sequence", "pretokenizers": steps}


# ----------------------------------------------------------------------- reading


def from_json(content: Mapping[str, Any]) -> Recipe:
    """The recipe in the content of a tokenizer.json.

    Raises:
        ValueError: if it is damaged, or says to compute anything that `BPE` does not.
    """
    model = _dict(content, "model")
    _check_model(model)
    _check_rest(content)
    special = _read_special(content.get("added_tokens") or [])
    vocab = read_vocab(model.get("vocab"))
    return Recipe(
        {unspell(token): i for token, i in vocab.items() if token not in special},
        read_merges(model.get("merges")),
        special,
        _read_pattern(content),
        _setting(model, "model.ignore_merges", False, (False, True)),
    )


def _setting(settings: Mapping[str, Any], name: str, default: Any, allowed: tuple) -> Any:
    """The value of a setting, if it is one of those that we compute."""
    value = settings.get(name.rpartition(".")[2], default)
    if value not in allowed:
        raise ValueError(f"{name}={value!r}: expected {' or '.join(map(repr, allowed))}")
    return value


def _dict(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = settings.get(name.rpartition(".")[2])
    if not isinstance(value, dict):
        raise ValueError(f"{name}={value!r}: expected settings in braces")
    return value


def _check_model(model: Mapping[str, Any]) -> None:
    _setting(model, "model.type", "BPE", ("BPE",))
    _setting(model, "model.dropout", None, (None, 0))
    _setting(model, "model.continuing_subword_prefix", None, (None, ""))
    _setting(model, "model.end_of_word_suffix", None, (None, ""))
    _setting(model, "model.byte_fallback", False, (False,))


def _check_rest(content: Mapping[str, Any]) -> None:
    normalizer = content.get("normalizer") or {"normalizers": []}
    if normalizer.get("normalizers") != []:
        raise ValueError(f"normalizer={normalizer!r}: expected none, for bytes stay as they are")
    decoder = content.get("decoder") or {"type": "ByteLevel"}
    for i, step in enumerate(decoder.get("decoders", [decoder])):
        _setting(step, f"decoder[{i}].type", None, ("ByteLevel",))


def _read_special(added: Any) -> dict[str, int]:
    if not isinstance(added, list) or not all(isinstance(token, dict) for token in added):
        raise ValueError(f"added_tokens={added!r}: expected a list of settings in braces")
    for i, token in enumerate(added):
        name = f"added_tokens[{i}]"
        _setting(token, f"{name}.special", False, (True,))
        for field in ("single_word", "lstrip", "rstrip"):
            _setting(token, f"{name}.{field}", False, (False,))
        if not isinstance(token.get("content"), str):
            raise ValueError(f"{name}.content={token.get('content')!r}: expected a string")
    return read_vocab({token["content"]: token.get("id") for token in added})


def read_vocab(vocab: Any) -> dict[str, int]:
    """A dict of token -> id."""
    if not isinstance(vocab, dict):
        raise ValueError(f"vocab={vocab!r}: expected tokens and their ids")
    for token, i in vocab.items():
        if not isinstance(i, int) or isinstance(i, bool):
            raise ValueError(f"vocab has {token!r}: {i!r}: expected a whole number")
    return vocab


def read_merges(merges: Any) -> list[Merge]:
    """Merges written as "Ġ t", or, as later versions do, as ["Ġ", "t"]."""
    if not isinstance(merges, list):
        raise ValueError(f"merges={merges!r}: expected a list")
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    for merge, pair in zip(merges, pairs, strict=True):
        if len(pair) != 2 or not all(pair):
            raise ValueError(f"merges has {merge!r}: expected two tokens")
    return [(unspell(left), unspell(right)) for left, right in pairs]


def _read_pattern(content: Mapping[str, Any]) -> str:
    """The pattern that cuts out words: that of GPT-2, or another before it is switched off."""
    whole = _dict(content, "pre_tokenizer")
    *first, last = whole.get("pretokenizers") or [whole]
    _setting(last, "pre_tokenizer.type", None, ("ByteLevel",))
    _setting(last, "pre_tokenizer.add_prefix_space", True, (False,))
    _setting(last, "pre_tokenizer.use_regex", True, (not first,))
    if not first:
        return GPT2_PATTERN
    if len(first) > 1:
        raise ValueError(f"pre_tokenizer={whole!r}: expected Split, ByteLevel")
    _setting(first[0], "pre_tokenizer.type", None, ("Split",))
    _setting(first[0], "pre_tokenizer.behavior", None, ("Isolated",))
    _setting(first[0], "pre_tokenizer.invert", False, (False,))
    pattern = _dict(first[0], "pre_tokenizer.pattern").get("Regex")
    if not isinstance(pattern, str):
        raise ValueError(f"pre_tokenizer.pattern={first[0]['pattern']!r}: expected a Regex")
    return pattern
