"""Tiny checkpoints of every family, as transformers itself writes them."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.testing import assert_close
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MarianConfig,
    MarianMTModel,
    PreTrainedModel,
)
from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding
from underglass.attention import padding_mask

IDS = torch.tensor([[2, 7, 30, 3, 0], [2, 3, 0, 0, 0], [4, 5, 6, 7, 3]])
TARGET_IDS = torch.tensor([[1, 9, 4, 11], [1, 29, 5, 8], [1, 2, 3, 4]])
SEGMENTS = torch.tensor([[0, 0, 1, 1, 0], [0, 0, 0, 0, 0], [0, 1, 1, 1, 1]])
PADDING = padding_mask(IDS, 0)


def bert_config(**others) -> BertConfig:
    return BertConfig(
        vocab_size=31,
        max_position_embeddings=11,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=13,
        **others,
    )


def gpt2_config(**others) -> GPT2Config:
    sizes = {"vocab_size": 31, "n_positions": 11, "n_embd": 12, "n_layer": 2, "n_head": 3}
    return GPT2Config(**{**sizes, "bos_token_id": None, "eos_token_id": None, **others})


def llama_config(**others) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=31,
        max_position_embeddings=11,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=3,
        intermediate_size=13,
        **others,
    )


def marian_config(**others) -> MarianConfig:
    sides = {
        f"{side}_{name}": size
        for side in ("encoder", "decoder")
        for name, size in (("layers", 2), ("attention_heads", 3), ("ffn_dim", 13))
    }
    tokens = {"pad_token_id": 0, "eos_token_id": 3, "decoder_start_token_id": 1}
    more = {"d_model": 12, "forced_eos_token_id": None, "scale_embedding": True}
    sizes = {"vocab_size": 31, "max_position_embeddings": 11}
    return MarianConfig(**{**sizes, **sides, **tokens, **more, **others})


THEIRS = {
    "bert": lambda: BertModel(bert_config()),
    "bert_words": lambda: BertForMaskedLM(bert_config(hidden_act="gelu_new")),
    "bert_classes": lambda: BertForSequenceClassification(bert_config(num_labels=5)),
    "bert_tokens": lambda: BertForTokenClassification(bert_config(num_labels=5)),
    "bert_spans": lambda: BertForQuestionAnswering(bert_config()),
    "gpt2": lambda: GPT2LMHeadModel(gpt2_config()),
    "gpt2_wide": lambda: GPT2LMHeadModel(gpt2_config(n_inner=17, activation_function="relu")),
    "llama": lambda: LlamaForCausalLM(llama_config()),
    "llama_tied": lambda: LlamaForCausalLM(
        llama_config(
            tie_word_embeddings=True,
            rms_norm_eps=1e-5,
            rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        )
    ),
    "marian": lambda: MarianMTModel(marian_config()),
    "marian_swish": lambda: MarianMTModel(marian_config(activation_function="swish")),
}


def their_model(name: str, *, std: float = 0.5) -> PreTrainedModel:
    """A model of theirs whose every number, those of norms and biases too, is drawn at random."""
    model = THEIRS[name]().eval()
    model.set_attn_implementation("eager")  # the one that returns weights
    return scatter(model, std=std)


def scatter(model: PreTrainedModel, *, std: float = 0.5) -> PreTrainedModel:
    for name, tensor in model.state_dict().items():
        if "embed_positions" not in name:  # the sines and cosines
            tensor.normal_(std=std)
    return model


def _position_tables(model: nn.Module) -> list[nn.Embedding]:
    return [m for m in model.modules() if isinstance(m, MarianSinusoidalPositionalEmbedding)]


def in_float64(model: PreTrainedModel) -> PreTrainedModel:
    """With Marian's sines and cosines computed anew: .double() would keep what was rounded."""
    model.double()
    for table in _position_tables(model):
        rows, width = table.weight.shape
        speeds = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
        angles = torch.arange(rows)[:, None] * speeds
        table.weight.data = torch.cat([angles.sin(), angles.cos()], dim=1)
    return model


def flat(answer: object) -> list[Tensor]:
    """All tensors of nested tuples, one after the other."""
    if isinstance(answer, Tensor):
        return [answer]
    assert isinstance(answer, tuple)
    return [tensor for part in answer for tensor in flat(part)]


@torch.no_grad()
def their_answer(model: PreTrainedModel) -> list[Tensor]:
    """Logits (or hidden states), and the attention weights of every layer."""
    given = {"input_ids": IDS, "attention_mask": PADDING[:, 0].long(), "output_attentions": True}
    kind = model.config.model_type
    if kind == "bert":
        given["token_type_ids"] = SEGMENTS
    if kind == "marian":
        given["decoder_input_ids"] = TARGET_IDS
    result = model(**given)
    heads = ("last_hidden_state", "logits", "start_logits", "end_logits")
    weights = ("encoder_attentions", "decoder_attentions", "cross_attentions", "attentions")
    names = [name for name in heads if name in result][: None if "start_logits" in result else 1]
    return flat(tuple(result[name] for name in [*names, *weights] if name in result))


@torch.no_grad()
def our_answer(model: nn.Module, family: str) -> list[Tensor]:
    if family == "marian":
        return flat(model(IDS, TARGET_IDS, PADDING, return_weights=True))
    if family == "bert":
        return flat(model(IDS, PADDING, SEGMENTS, return_weights=True))
    return flat(model(IDS, mask=PADDING, return_weights=True))


def written(model: PreTrainedModel, folder: Path, **options) -> Path:
    model.save_pretrained(folder, **options)
    return folder


def their_reading(folder: Path, kind: type[PreTrainedModel]) -> tuple[PreTrainedModel, dict]:
    options = {"output_loading_info": True, "attn_implementation": "eager"}
    model, report = kind.from_pretrained(folder, **options)  # pyright: ignore[reportGeneralTypeIssues]
    return model.eval(), report


def change_config(folder: Path, change: dict[str, Any]) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    return folder


def compare(ours: nn.Module, theirs: PreTrainedModel) -> None:
    """Logits and the weights of every layer, in a padded batch, wherever there is a token."""
    family = theirs.config.model_type
    answer, expected = our_answer(ours, family), their_answer(theirs)
    assert len(answer) == len(expected) > 2
    # The rows of padding mean nothing, but in BERT and in encoders they too are computed alike.
    real = (IDS != 0)[:, None, :, None]
    for mine, other in zip(answer, expected, strict=True):
        if family in ("gpt2", "llama"):
            keep = real if mine.ndim == 4 else real[:, 0]
            mine, other = mine * keep, other * keep
        assert_close(mine, other)


def in_state(model: nn.Module) -> dict[str, bytes]:
    """Every bit of a model, by the name of the tensor."""
    return {
        name: tensor.contiguous().view(torch.uint8).numpy().tobytes()
        for name, tensor in model.state_dict().items()
    }
