"""Checkpoints of the usual layout (config.json, model.safetensors) into our models, and back.

    model = pretrained.load("speeches_gpt")             # the course's own: see its README.md
    model = pretrained.load("minilm")                   # by a name of underglass.data
    model = pretrained.load("my/folder")                # from a folder
    model = pretrained.load("openai-community/gpt2")    # from a model hub, where one can be reached
    pretrained.save(model, "another/folder")            # which transformers can read too

The families that we read: BERT and its heads, GPT-2, Llama, and the Transformer of 2017 as Marian's
translation models have it.

Chapter: chapters/04_attention.ipynb
"""

from pathlib import Path
from typing import Any, Literal, TypeVar, overload

from torch import nn

from underglass import data
from underglass.models.bert import BERT
from underglass.models.bert_heads import (
    BERTForClassification,
    BERTForMaskedLM,
    BERTForSpans,
    BERTForTokens,
)
from underglass.models.gpt import GPT
from underglass.models.llama import Llama
from underglass.models.seq2seq import Seq2Seq
from underglass.pretrained import bert, files, gpt, llama, seq2seq
from underglass.pretrained.family import Family, load_model
from underglass.pretrained.settings import Settings, read_settings
from underglass.pretrained.tokenizer_files import (
    check_tokenizer,
    read_tokenizer,
    write_tokenizer,
)
from underglass.pretrained.weights import read_weights
from underglass.tokenizers import BPE, WordPiece

__all__ = ["load", "save", "tokenizer"]

FAMILIES = (bert.FAMILY, gpt.FAMILY, llama.FAMILY, seq2seq.FAMILY)
Model = (
    BERT
    | BERTForMaskedLM
    | BERTForClassification
    | BERTForTokens
    | BERTForSpans
    | GPT
    | Llama
    | Seq2Seq
)
Kind = TypeVar("Kind", bound=nn.Module)
Tokenizer = TypeVar("Tokenizer", WordPiece, BPE)


@overload
def load(name_or_path: Literal["minilm"]) -> BERT: ...
@overload
def load(name_or_path: Literal["speeches_gpt"]) -> GPT: ...
@overload
def load(name_or_path: Literal["speeches_bert"]) -> BERTForMaskedLM: ...
@overload
def load(name_or_path: str | Path, kind: type[Kind]) -> Kind: ...
@overload
def load(name_or_path: str | Path) -> Model: ...
def load(name_or_path: str | Path, kind: type[nn.Module] | None = None) -> Any:
    """The model of a checkpoint, on the CPU, in the precision it was saved in, ready to use (eval).

    The course's own, "speeches_gpt" and "speeches_bert", are kept in float16, to be half as large,
    and come in float32.

    Where a config has several shares of dropout, ours is that of the layers' outputs.

    Args:
        kind: the class of the model, such as `BERT`; unless given, the one that config.json names
            under "architectures". With it a type checker knows what comes back, and a BERT may be
            read without the head that its file has: `load("bert-base-uncased")` is a
            BERTForMaskedLM, `load("bert-base-uncased", BERT)` the BERT in it. A head that the file
            does not have is put on afterwards: `BERTForTokens(load("minilm"), num_labels=5)`.

    Raises:
        FileNotFoundError: if there is no such checkpoint, or a file of it is missing.
        ValueError: if a file is cut off or a pickle, a tensor is missing, unknown or of another
            shape, or the config is not one of a model that we can build.
    """
    folder = files.checkpoint_folder(name_or_path)
    settings = read_settings(folder)
    family = _family(settings)
    kind = _kind(family, settings, kind)
    tensors, path = read_weights(folder)
    model = load_model(family, settings, kind, tensors, path).eval()
    return model.float() if files.is_own(name_or_path) else model


def save(model: Model, path: str | Path, tokenizer: WordPiece | BPE | None = None) -> None:
    """Write config.json and model.safetensors into folder `path`, which transformers can read too.

    All is written under temporary names first: what was there stays whole if something fails.
    What our models do not know is not written: the names of labels, the ids of special tokens.

    Args:
        tokenizer: the one that the model was trained with, to be saved beside it. Without it
            the folder holds no vocabulary, or the one that it had.

    Raises:
        TypeError: if the model or the tokenizer is not one that we could read back.
        ValueError: if they have settings, or tokens, that their files cannot express, or the
            tokenizer has more tokens than the model.
        NotADirectoryError: if `path` is a file.
        FileExistsError: if another tokenizer there would count instead of this one.
    """
    folder = Path(path).expanduser()
    family, architecture = _family_of(model)
    named = {"model_type": family.model_type, "architectures": [architecture]}
    config = family.write_config(model) | named
    tensors = family.to_theirs(model.state_dict())
    if tokenizer is not None:
        check_tokenizer(folder, tokenizer, model.config.vocab_size)
    with files.replacing_files(folder) as new:
        files.write_checkpoint(new, config, {name: t.contiguous() for name, t in tensors.items()})
        if tokenizer is not None:
            write_tokenizer(new, tokenizer)


@overload
def tokenizer(name_or_path: Literal["minilm"]) -> WordPiece: ...
@overload
def tokenizer(name_or_path: Literal["gpt2", "speeches_gpt", "speeches_bert"]) -> BPE: ...
@overload
def tokenizer(name_or_path: str | Path, kind: type[Tokenizer]) -> Tokenizer: ...
@overload
def tokenizer(name_or_path: str | Path) -> WordPiece | BPE: ...
def tokenizer(name_or_path: str | Path, kind: type | None = None) -> Any:
    """The tokenizer that belongs to the model of a checkpoint; "gpt2" is GPT-2's.

    Args:
        kind: `WordPiece` or `BPE`, to refuse the other; with it a type checker knows what comes.

    Raises:
        FileNotFoundError: if there is no such checkpoint, or it has no vocabulary.
        ValueError: if its tokenizer is neither a WordPiece as BERT's nor a byte-level BPE as
            GPT-2's, or not of the `kind` asked for.
    """
    if kind not in (None, WordPiece, BPE):
        raise ValueError(f"kind={getattr(kind, '__name__', kind)}: expected WordPiece or BPE")
    if str(name_or_path) == "gpt2" and not Path(name_or_path).is_dir():
        found = BPE.from_ranks(data.load("gpt2"), special=["<|endoftext|>"])
    else:
        found = read_tokenizer(files.checkpoint_folder(name_or_path))
    if kind is not None and not isinstance(found, kind):
        raise ValueError(
            f"name_or_path={str(name_or_path)!r} has a {type(found).__name__}: "
            f"expected a {kind.__name__}, as `kind` says"
        )
    return found


def _family_of(model: nn.Module) -> tuple[Family, str]:
    """The family of a model of ours, and what they call its class."""
    for family in FAMILIES:
        architecture = family.architecture(model)
        if architecture is not None:
            return family, architecture
    known = ", ".join(kind.__name__ for family in FAMILIES for kind in family.models)
    raise TypeError(f"model is a {type(model).__name__}: expected one of {known}")


def _family(settings: Settings) -> Family:
    for family in FAMILIES:
        if settings.get("model_type") == family.model_type:
            return family
    return settings.refuse(
        "model_type", f"one of {', '.join(family.model_type for family in FAMILIES)}"
    )


def _kind(family: Family, settings: Settings, kind: type[nn.Module] | None) -> type[nn.Module]:
    """The class to build: the one asked for, or else the one that the config names."""
    if kind is not None:
        if kind in family.models:
            return kind
        known = ", ".join(other.__name__ for other in family.models)
        raise ValueError(
            f"kind={getattr(kind, '__name__', kind)}: expected one of {known}, "
            f"for {settings.path} says model_type={family.model_type!r}"
        )
    names = settings.get("architectures") or [next(iter(family.architectures))]
    if not isinstance(names, list) or names[0] not in list(family.architectures):
        known = ", ".join(family.architectures)
        settings.refuse("architectures", f"one of {known}; or say which `kind` of model to read")
    return family.architectures[names[0]]
