"""What a BERT says of the hidden words of one text, worked out ahead: the page shows it before any
weights come.

Words are those of the tokenizer's pattern, each with the space before it; a word that is hidden has
a mask for each of its tokens.
"""

from typing import Any

import torch
from torch import Tensor

from underglass.models.bert_heads import BERTForMaskedLM
from underglass.tokenizers import BPE
from underglass.tokenizers.words import compile_pattern, split_words

MASK = "<|mask|>"  # in place of a hidden token, as in training
LONGEST = 40  # tokens: about 20 kB of a page
BEST = 8  # candidates for each mask


def read_words(tokenizer: BPE, text: str) -> list[str]:
    """The words of a text: joined, they are the text again.

    Raises:
        TypeError: if the text is not a string.
        ValueError: if it has no word, or too many tokens to be carried.
    """
    if not isinstance(text, str):
        raise TypeError(f"text={text!r} is a {type(text).__name__}, expected a string")
    count = len(tokenizer.encode(text))
    if not 1 <= count <= LONGEST:
        raise ValueError(f"text has {count} tokens, expected 1 to {LONGEST}: {text!r}")
    return split_words(text, compile_pattern(tokenizer.pattern))


def read_hidden(words: list[str], hidden: Any) -> list[int]:
    """The numbers of the words to hide, in their order.

    Raises:
        TypeError: if one is neither a word nor a number.
        ValueError: if a word or number is not there, or there are several such words.
    """
    if isinstance(hidden, str | int):
        hidden = (hidden,)
    return sorted({_number(words, one) for one in hidden})


def _number(words: list[str], one: Any) -> int:
    if isinstance(one, bool) or not isinstance(one, str | int):
        kind = type(one).__name__
        raise TypeError(f"hidden holds {one!r}, a {kind}, expected words or their numbers")
    if isinstance(one, int):
        if not 0 <= one < len(words):
            raise ValueError(f"hidden holds {one}, expected 0 to {len(words) - 1}")
        return one
    found = [i for i, word in enumerate(words) if word.strip() == one]
    if len(found) != 1:
        times = f"stands there {len(found)} times" if found else "is not a word of the text"
        raise ValueError(f"hidden holds {one!r}, which {times}: expected one, or its number")
    return found[0]


@torch.no_grad()
def work_out(
    model: BERTForMaskedLM, tokenizer: BPE, words: list[str], hidden: list[int]
) -> dict[str, Any]:
    """The text's words and tokens, and for the hidden words together, and for each word hidden
    alone, what the model says at each mask."""
    ids = [tokenizer.encode(word) for word in words]
    sets = [list(x) for x in {(*hidden,), *((i,) for i in range(len(words)))} if x]
    masked = torch.tensor([hide(tokenizer, ids, one) for one in sets])
    runs = {
        ",".join(map(str, one)): _masks(logits, ids, one)
        for one, logits in zip(sets, model(masked), strict=True)
    }
    known = {i for word in ids for i in word}
    known |= {i for run in runs.values() for mask in run for i in mask["ids"]}
    names = {str(i): name_of(tokenizer, i) for i in sorted(known)}
    return {"words": words, "ids": ids, "runs": dict(sorted(runs.items())), "names": names}


def hide(tokenizer: BPE, ids: list[list[int]], hidden: list[int]) -> list[int]:
    """The tokens of all words, with a mask for each token of the hidden ones."""
    mask = tokenizer.special[MASK]
    return [mask if word in hidden else i for word, own in enumerate(ids) for i in own]


def name_of(tokenizer: BPE, i: int) -> str:
    """How a token is called; bytes that are no whole character as \\xe2."""
    return tokenizer.token(i).decode(errors="backslashreplace")


def _masks(logits: Tensor, ids: list[list[int]], hidden: list[int]) -> list[dict[str, Any]]:
    """For each mask: the likeliest tokens, and probability and rank of the one that stood there."""
    starts = [0]
    for own in ids:
        starts.append(starts[-1] + len(own))
    found = []
    for word in hidden:
        for part, i in enumerate(ids[word]):
            row = logits[starts[word] + part].double()
            p, rank = row.softmax(dim=-1), 1 + int((row > row[i]).sum())
            top = p.topk(min(BEST, len(p)))
            own = {"word": word, "part": part, "id": i, "p": p[i].item(), "rank": rank}
            found.append(own | {"ids": top.indices.tolist(), "shares": top.values.tolist()})
    return found
