"""A model and its tokenizer in one piece of bytes, as the page's engine reads them.

    length of the header, 4 bytes, little-endian as all that follows
    header      JSON: kind, config, tensors [name, rows(, columns)], and what the tokenizer is
    16 bits     for each tensor in that order: a vector's numbers, or each row's scale, in float16
    16 bits     the merges: pairs of token ids
    8 bits      for each matrix in that order: its rows, in whole numbers (see `quantization`)

The static page gets the bytes in a few script files, a live notebook in as many messages. They hold
no code but one assignment, and no pickle.
"""

import base64
import json
from dataclasses import asdict
from functools import cache
from hashlib import sha256

import torch
from torch import Tensor, nn

from underglass import pretrained
from underglass.models.bert import BERTConfig
from underglass.models.bert_heads import BERTForMaskedLM
from underglass.models.gpt import GPT, GPTConfig
from underglass.quantization import quantize
from underglass.tokenizers import BPE, words
from underglass.tokenizers.merges import BYTES

PART = 240_000  # bytes: 320 kB as base64; a dozen parts, so that progress is seen
ACTIVATIONS = ("gelu", "gelu_tanh")  # those of engine_numbers.js


@cache
def packed(name: str) -> bytes:
    """One of the course's own models with its tokenizer, packed.

    Args:
        name: "speeches_gpt" or "speeches_bert", or whatever `pretrained.load` takes, if it is a GPT
            or a BERT for masked tokens.

    Raises:
        ValueError: if the engine cannot run this model or its tokenizer.
        FileNotFoundError: if there is no such model.
    """
    return pack(pretrained.load(name), pretrained.tokenizer(name, BPE))


def parts(content: bytes) -> list[bytes]:
    """The packed bytes in pieces of at most 240,000."""
    return [content[i : i + PART] for i in range(0, len(content), PART)]


def version(content: bytes) -> str:
    """What tells these bytes from those of another training run, for the browser's cache."""
    return sha256(content).hexdigest()[:8]


def scripts(name: str, content: bytes) -> dict[str, str]:
    """The script files of a static page, by file name: each lays its part, in base64, where the
    engine looks for it."""
    place = f"underglassParts[{json.dumps(name)}]"
    return {
        f"{i:02}.js": f'{place}[{i}]="{base64.b64encode(part).decode()}";\n'
        for i, part in enumerate(parts(content))
    }


def pack(model: nn.Module, tokenizer: BPE) -> bytes:
    """The bytes of any model that the engine can run.

    Raises:
        TypeError: if the model is neither a GPT nor a BERTForMaskedLM.
        ValueError: if its activation, its widths or its tokenizer are not what the engine expects.
    """
    config = _checked_config(model)
    tensors = {name: param.detach().float() for name, param in model.named_parameters()}
    halves, bytes_ = [], []
    for tensor in tensors.values():
        if tensor.ndim == 2:
            rounded, tensor = quantize(tensor)
            bytes_.append(_raw(rounded))
        halves.append(_raw(tensor.half()))
    header = {
        "kind": "gpt" if isinstance(model, GPT) else "bert",
        "config": asdict(config),
        "tensors": [[name, *tensor.shape] for name, tensor in tensors.items()],
        **_tokenizer_header(tokenizer, config.vocab_size),
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    merges = [tokenizer.vocab[token] for pair in tokenizer.merges for token in pair]
    return b"".join(
        [
            len(text).to_bytes(4, "little"),
            text,
            *halves,
            _raw(torch.tensor(merges, dtype=torch.int32).to(torch.uint16)),
            *bytes_,
        ]
    )


def _raw(tensor: Tensor) -> bytes:
    return tensor.contiguous().numpy().tobytes()


def _tokenizer_header(tokenizer: BPE, size: int) -> dict[str, object]:
    made = [*BYTES, *(left + right for left, right in tokenizer.merges)]
    if [tokenizer.vocab.get(token) for token in made] != [*range(len(made))]:
        raise ValueError("tokenizer numbers its tokens otherwise: expected the order of BPE.train")
    if tokenizer.pattern != words.GPT2_PATTERN or tokenizer.whole_words:
        raise ValueError(f"tokenizer has pattern={tokenizer.pattern!r}: expected GPT-2's")
    if tokenizer.vocab_size != size:
        raise ValueError(f"tokenizer has {tokenizer.vocab_size} tokens: expected {size}")
    ends = [run.split("-") for run in words.ADDED.split()]
    return {
        "bytes": [byte[0] for byte in BYTES],
        "merges": len(tokenizer.merges),
        "special": tokenizer.special,
        "unassigned": [[int(code, 16) for code in run] for run in ends],
    }


def _checked_config(model: nn.Module) -> GPTConfig | BERTConfig:
    if not isinstance(model, GPT | BERTForMaskedLM):
        kind = type(model).__name__
        raise TypeError(f"model is a {kind}: expected a GPT or a BERTForMaskedLM")
    config = model.config
    if config.activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ValueError(f"activation={config.activation!r}: expected one of {known}")
    for name in ("vocab_size", "d_model", "d_ff"):
        if (value := getattr(config, name)) % 4:
            raise ValueError(f"{name}={value}: expected a multiple of 4, as the engine computes")
    if config.d_model // config.num_heads % 2:
        raise ValueError(
            f"d_model={config.d_model} with num_heads={config.num_heads}: "
            "expected an even number for each head"
        )
    if isinstance(config, BERTConfig) and config.pooler:
        raise ValueError("pooler=True: expected a BERT without one, for words that are hidden")
    return config
