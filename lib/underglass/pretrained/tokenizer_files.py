"""The tokenizer of a checkpoint, from the files that lie beside its weights, and into them.

tokenizer.json counts where there is one, as in transformers; else vocab.txt (BERT), or vocab.json
and merges.txt (GPT-2).
"""

from pathlib import Path
from typing import Any

from underglass.pretrained.files import read_json, write_json
from underglass.tokenizers import BPE, WordPiece

SENTENCEPIECE = ("tokenizer.model", "sentencepiece.bpe.model", "spiece.model", "source.spm")
# What BERT's tokenizer computes; of another one we would give other ids.
WORD_PIECE = {
    "type": "WordPiece",
    "unk_token": "[UNK]",
    "continuing_subword_prefix": "##",
    "max_input_chars_per_word": 100,
}


def read_tokenizer(folder: Path) -> WordPiece | BPE:
    if (folder / "tokenizer.json").is_file():
        return _read_json(folder)
    if (folder / "vocab.txt").is_file():
        return WordPiece.from_file(folder / "vocab.txt", lower=_is_lower(folder))
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        return BPE.load(folder)
    for name in SENTENCEPIECE:
        if (folder / name).is_file():
            raise ValueError(_sentencepiece(folder / name))
    raise FileNotFoundError(
        f"{folder} has no vocab.txt and no tokenizer.json, nor vocab.json and merges.txt"
    )


def _sentencepiece(path: Path) -> str:
    return (
        f"{path} is of SentencePiece, which works on characters: expected a WordPiece as BERT's, "
        "or a byte-level BPE as GPT-2's and Llama 3's"
    )


def _read_json(folder: Path) -> WordPiece | BPE:
    path = folder / "tokenizer.json"
    content = read_json(path)
    model = content.get("model")
    kind = model.get("type") if isinstance(model, dict) else None
    if not isinstance(model, dict) or kind not in ("BPE", "WordPiece", "Unigram"):
        raise ValueError(f"{path}: model type {kind!r}: expected 'WordPiece' or 'BPE'")
    if kind == "Unigram" or model.get("byte_fallback"):
        raise ValueError(_sentencepiece(path))
    return BPE.load(path) if kind == "BPE" else _read_word_piece(folder, content)


def _read_word_piece(folder: Path, content: dict[str, Any]) -> WordPiece:
    path, model = folder / "tokenizer.json", content["model"]
    for name, expected in WORD_PIECE.items():
        if model.get(name, expected) != expected:
            raise ValueError(f"{path}: {name}={model[name]!r}: expected {expected!r}")
    ids = model.get("vocab")
    if not isinstance(ids, dict) or sorted(ids.values()) != list(range(len(ids))):
        raise ValueError(f"{path}: expected a vocab with the ids 0, 1, 2, ..., each once")
    added = [token["content"] for token in content.get("added_tokens") or []]
    unknown = [token for token in added if token not in ids]
    if unknown:
        raise ValueError(f"{path}: added_tokens has {unknown[0]!r}: expected a token of the vocab")
    return WordPiece(sorted(ids, key=ids.__getitem__), lower=_is_lower(folder))


def _is_lower(folder: Path) -> bool:
    """Whether text is made lower-case; what BERT ties to that must not be set another way."""
    settings = _settings(folder)
    lower = settings.get("do_lower_case", True)
    for name, expected in (("strip_accents", lower), ("tokenize_chinese_chars", True)):
        if settings.get(name) not in (None, expected):
            raise ValueError(f"{folder}: {name}={settings[name]!r}: expected {expected!r}")
    return lower


def _settings(folder: Path) -> dict[str, Any]:
    """What tokenizer_config.json says, and tokenizer.json where that says nothing."""
    settings = {}
    if (folder / "tokenizer.json").is_file():
        normalizer = read_json(folder / "tokenizer.json").get("normalizer") or {}
        names = {
            "lowercase": "do_lower_case",
            "strip_accents": "strip_accents",
            "handle_chinese_chars": "tokenize_chinese_chars",
        }
        settings = {names[name]: normalizer[name] for name in names if name in normalizer}
    if (folder / "tokenizer_config.json").is_file():
        settings |= read_json(folder / "tokenizer_config.json")
    return settings


# ----------------------------------------------------------------------- writing


def write_tokenizer(folder: Path, tokenizer: WordPiece | BPE) -> None:
    """A WordPiece as vocab.txt and tokenizer_config.json; a BPE as it saves itself."""
    if isinstance(tokenizer, BPE):
        tokenizer.save(folder)
        return
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": tokenizer.lower}
    write_json(folder / "tokenizer_config.json", settings)
    lines = "".join(f"{token}\n" for token in tokenizer.vocab)
    (folder / "vocab.txt").write_bytes(lines.encode())


def check_tokenizer(folder: Path, tokenizer: WordPiece | BPE, vocab_size: int) -> None:
    """Refuse a tokenizer that a model of `vocab_size`, saved into `folder`, cannot be read with."""
    if not isinstance(tokenizer, WordPiece | BPE):
        raise TypeError(f"tokenizer is a {type(tokenizer).__name__}: expected a WordPiece or a BPE")
    if tokenizer.vocab_size > vocab_size:
        raise ValueError(
            f"tokenizer has {tokenizer.vocab_size} tokens: expected at most the model's "
            f"vocab_size={vocab_size}"
        )
    if isinstance(tokenizer, BPE):
        return
    if any(end in token for token in tokenizer.vocab for end in "\r\n"):
        raise ValueError(
            "tokenizer has a token with a line break: expected none, for a line a token"
        )
    if (folder / "tokenizer.json").exists():
        raise FileExistsError(
            f"{folder} has a tokenizer.json, which would count instead of the new vocab.txt: "
            "expected a folder without one"
        )
