"""Byte-level BPE by the Rust library `tokenizers`: what `merges` and `words` do, many times faster.

The library is imported where it is used, since most readers of a chapter never need it.
"""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from underglass.tokenizers import bpe_json
from underglass.tokenizers.bpe_json import Recipe
from underglass.tokenizers.merges import BYTES, Merge

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def build(recipe: Recipe) -> "Tokenizer":
    """The recipe's tokenizer without its special tokens, which it would find in any text."""
    from tokenizers import Tokenizer

    return Tokenizer.from_str(json.dumps(bpe_json.to_json(recipe._replace(special={}))))


def learn_merges(texts: Iterable[str], num_merges: int, pattern: str) -> list[Merge]:
    """The same merges as `merges.learn_merges` of the words in these texts."""
    from tokenizers.trainers import BpeTrainer

    only_bytes = Recipe({byte: i for i, byte in enumerate(BYTES)}, (), {}, pattern, False)
    tokenizer = build(only_bytes)
    trainer = BpeTrainer(
        vocab_size=len(BYTES) + num_merges,
        initial_alphabet=[bpe_json.spell(byte) for byte in BYTES],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return bpe_json.read_merges(json.loads(tokenizer.to_str())["model"]["merges"])
