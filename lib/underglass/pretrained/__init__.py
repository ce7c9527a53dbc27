"""Checkpoints of the usual layout (config.json, model.safetensors) into our models, and back.

    model = pretrained.load("minilm")               # by a name of underglass.data
    model = pretrained.load("my/folder")            # from a folder
    model = pretrained.load("bert-base-uncased")    # from a model hub, where one can be reached

Chapter: chapters/04_attention.ipynb
"""

from pathlib import Path

import torch

from underglass.models.bert import BERT
from underglass.pretrained import bert, files
from underglass.tokenizers import WordPiece

__all__ = ["load", "save", "tokenizer"]


def load(name_or_path: str | Path) -> BERT:
    """The model of a checkpoint, on the CPU, in the precision it was saved in, ready to use (eval).

    Layers beyond BERT itself that served its training (`cls...`) are left out.

    Raises:
        FileNotFoundError: if there is no such checkpoint, or a file of it is missing.
        ValueError: if a file is cut off or a pickle, a tensor is missing, unknown or of another
            shape, or the config is not one of a BERT that we can build.
    """
    folder = files.checkpoint_folder(name_or_path)
    config = files.read_json(folder / files.CONFIG)
    bert.check_family(config, folder / files.CONFIG)
    tensors = bert.to_ours(files.read_weights(folder / files.WEIGHTS), folder / files.WEIGHTS)
    pooler = "pooler.weight" in tensors
    with torch.device("meta"):  # shapes only: the numbers come from the file
        model = BERT(bert.read_config(config, folder / files.CONFIG, pooler=pooler))
    bert.check_tensors(tensors, model.state_dict(), folder / files.WEIGHTS)
    model.load_state_dict(tensors, assign=True)
    return model.eval()


def save(model: BERT, path: str | Path) -> None:
    """Write config.json and model.safetensors into folder `path`, which transformers can read too.

    Both are written under temporary names first: what was there stays whole if something fails.

    Raises:
        TypeError: if the model is not one that `load` could read back.
        NotADirectoryError: if `path` is a file.
    """
    if not isinstance(model, BERT):
        raise TypeError(f"model is a {type(model).__name__}: expected a BERT")
    tensors = {bert.their_name(name): t.contiguous() for name, t in model.state_dict().items()}
    files.write_checkpoint(Path(path), bert.write_config(model.config), tensors)


def tokenizer(name_or_path: str | Path) -> WordPiece:
    """The tokenizer that belongs to the model of a checkpoint.

    Raises:
        FileNotFoundError: if there is no such checkpoint, or it has no vocabulary.
        ValueError: if its tokenizer is not a WordPiece as BERT's.
    """
    return bert.read_tokenizer(files.checkpoint_folder(name_or_path))
