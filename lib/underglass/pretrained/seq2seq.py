"""The Transformer of 2017 as trained translation models come: Marian's names and sizes, and ours.

Both have the same positions in another order. Ours, like the paper's, alternate: sin, cos, sin,
cos, ...; Marian's are all sines, then all cosines. So the coordinates of every vector that runs
through the model are put in another order when a checkpoint is read or written, and with them the
rows or columns of each matrix that reads or writes such vectors. What is computed stays the same,
since sums, norms and dot products do not care in which order coordinates stand.

References: Vaswani et al. (2017), "Attention Is All You Need";
Junczys-Dowmunt et al. (2018), "Marian: Fast Neural Machine Translation in C++".
"""

import re
from typing import Any

import torch
from torch import Tensor, nn

from underglass.models.seq2seq import Seq2Seq, Seq2SeqConfig
from underglass.positions import sinusoidal_positions
from underglass.pretrained.family import Family, Tensors, inverse, rename
from underglass.pretrained.settings import Settings, their_activation

_BLOCK = {
    "self_attn.q_proj": "attention.q_proj",
    "self_attn.k_proj": "attention.k_proj",
    "self_attn.v_proj": "attention.v_proj",
    "self_attn.out_proj": "attention.out_proj",
    "self_attn_layer_norm": "attention_norm",
    "fc1": "feed_forward.in_proj",
    "fc2": "feed_forward.out_proj",
    "final_layer_norm": "feed_forward_norm",
}
_CROSS = {
    "encoder_attn.q_proj": "cross_attention.q_proj",
    "encoder_attn.k_proj": "cross_attention.k_proj",
    "encoder_attn.v_proj": "cross_attention.v_proj",
    "encoder_attn.out_proj": "cross_attention.out_proj",
    "encoder_attn_layer_norm": "cross_attention_norm",
}
MODULES = {  # theirs: ours, with # for the number of the layer
    "model.shared": "tokens",
    "final_logits_bias": "bias",
    **{f"model.encoder.layers.#.{theirs}": f"encoder.#.{o}" for theirs, o in _BLOCK.items()},
    **{
        f"model.decoder.layers.#.{theirs}": f"decoder.#.{o}"
        for theirs, o in (_BLOCK | _CROSS).items()
    },
}
SIZES = {
    "vocab_size": "vocab_size",
    "max_position_embeddings": "max_len",
    "d_model": "d_model",
    "encoder_layers": "num_layers",
    "encoder_attention_heads": "num_heads",
    "encoder_ffn_dim": "d_ff",
    "dropout": "dropout",
}
DEFAULTS = {"dropout": 0.1, "activation_function": "gelu", "scale_embedding": False}
FIXED = {
    "scale_embedding": True,
    "share_encoder_decoder_embeddings": True,
    "tie_word_embeddings": True,
    "is_encoder_decoder": True,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
    "static_position_embeddings": True,
    "extra_pos_embeddings": 0,
    # Norms stand after the sums, and nowhere else
    "normalize_before": False,
    "normalize_embedding": False,
    "add_final_layer_norm": False,
}
EPS = 1e-5  # of their norms: torch's, and no field of the config


def _to_ours(theirs: Tensors) -> Tensors:
    ours = {}
    for name in list(theirs):
        tensor, name = theirs.pop(name), rename(name, MODULES)
        ours[name] = tensor[0] if name == "bias" else _reordered(tensor, name, back=True)
    return ours


def _to_theirs(ours: Tensors) -> Tensors:
    theirs, names = {}, inverse(MODULES)
    for name, tensor in ours.items():
        tensor = tensor[None] if name == "bias" else _reordered(tensor, name)
        theirs[rename(name, names)] = tensor
    return theirs


def _reordered(tensor: Tensor, our_name: str, *, back: bool = False) -> Tensor:
    """With the coordinates of the model's vectors as theirs stand, or back as ours do."""
    axis = _axis(our_name)
    if axis is None:
        return tensor
    places = torch.arange(tensor.shape[axis], device=tensor.device)
    order = torch.cat([places[0::2], places[1::2]])
    return tensor.index_select(axis, order.argsort() if back else order)


def _axis(our_name: str) -> int | None:
    """Which axis of a tensor stands for the model's vectors, and not for what is inside a layer."""
    if re.search(r"\b(out_proj|\w*norm)\.", our_name):  # these write such a vector, row by row
        return 0
    return 1 if our_name.endswith(".weight") else None  # and these read one, column by column


def _build(settings: Settings, tensors: Tensors, kind: type[nn.Module]) -> nn.Module:
    """Their other shares of dropout (attention weights, inner layer) are not kept: ours has one."""
    settings = settings.filled(DEFAULTS)
    settings.check(FIXED)
    settings.check(
        {  # the decoder is as large as the encoder
            "decoder_vocab_size": settings.get("vocab_size"),
            "decoder_layers": settings.get("encoder_layers"),
            "decoder_attention_heads": settings.get("encoder_attention_heads"),
            "decoder_ffn_dim": settings.get("encoder_ffn_dim"),
        }
    )
    config = settings.read(
        Seq2SeqConfig,
        SIZES,
        activation=settings.activation("activation_function"),
        eps=EPS,
        output_bias="final_logits_bias" in tensors,
    )
    for name in ("encoder.embed_positions.weight", "decoder.embed_positions.weight"):
        if name in tensors and not _are_sinusoids(tensors[name], config):
            raise ValueError(f"{name} in {settings.path.parent}: expected the sines and cosines")
    return Seq2Seq(config)


def _are_sinusoids(table: Tensor, config: Seq2SeqConfig) -> bool:
    with table.device:  # and not on the meta device, where the model is built
        ours = sinusoidal_positions(config.max_len, config.d_model, dtype=torch.float32)
        theirs = _reordered(ours, "tokens.weight")
    # A table in bfloat16 has steps of up to 2^-8.
    return table.shape == theirs.shape and torch.allclose(table.float(), theirs, atol=1e-2)


def _write_config(model: Seq2Seq) -> dict[str, Any]:
    config = model.config
    if config.eps != EPS:
        raise ValueError(f"eps={config.eps}: expected {EPS}, for Marian's norms know no other")
    sizes = {theirs: getattr(config, ours) for theirs, ours in SIZES.items()}
    decoder = {n.replace("encoder", "decoder"): size for n, size in sizes.items() if "encoder" in n}
    return {
        **FIXED,
        **sizes,
        **decoder,
        "decoder_vocab_size": config.vocab_size,
        "activation_function": their_activation(config.activation),
        "attention_dropout": config.dropout,
        # Which tokens begin, end and fill a text, a model does not know
        "pad_token_id": None,
        "eos_token_id": None,
        "forced_eos_token_id": None,
    }


FAMILY = Family(
    model_type="marian",
    architectures={"MarianMTModel": Seq2Seq, "MarianModel": Seq2Seq},
    build=_build,
    write_config=_write_config,
    to_ours=_to_ours,
    to_theirs=_to_theirs,
    prefix="model.",
    spare=r"(encoder|decoder)\.embed_positions\.weight",  # the sines and cosines
    copies=lambda model: {
        "encoder.embed_tokens.weight": "shared.weight",
        "decoder.embed_tokens.weight": "shared.weight",
        "lm_head.weight": "shared.weight",
    },
)
