"""Small models to fine-tune, whose every weight is its own random number."""

import torch
from torch import Tensor, nn
from underglass.models.bert import BERT, BERTConfig
from underglass.models.bert_heads import BERTForClassification, BERTForMaskedLM
from underglass.models.gpt import GPT, GPTConfig
from underglass.models.llama import Llama, LlamaConfig
from underglass.models.seq2seq import Seq2Seq, Seq2SeqConfig

F64 = torch.float64
IDS = torch.tensor([[2, 7, 30, 3, 5], [2, 3, 11, 1, 4], [2, 5, 6, 7, 3]])

_bert = BERTConfig(
    vocab_size=31, max_len=11, d_model=12, num_layers=2, num_heads=3, d_ff=13, dropout=0.0
)
_gpt = GPTConfig(
    vocab_size=31, max_len=11, d_model=12, num_layers=2, num_heads=3, d_ff=13, dropout=0.0
)
_llama = LlamaConfig(
    vocab_size=31, max_len=11, d_model=12, num_layers=2, num_heads=3, num_kv_heads=1, d_ff=13
)
_seq2seq = Seq2SeqConfig(
    vocab_size=31, max_len=11, d_model=12, num_layers=2, num_heads=3, d_ff=13, dropout=0.0,
    output_bias=True,
)  # fmt: skip
MODELS = {
    "bert": lambda: BERT(_bert),
    "classifier": lambda: BERTForClassification(BERT(_bert), 3),
    "masked": lambda: BERTForMaskedLM(BERT(_bert)),
    "gpt": lambda: GPT(_gpt),
    "llama": lambda: Llama(_llama),
    "seq2seq": lambda: Seq2Seq(_seq2seq),
}


def scattered(kind: str, dtype: torch.dtype = F64) -> nn.Module:
    model = MODELS[kind]().to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
    return model


def answer(model: nn.Module) -> Tensor:
    two_texts = any(isinstance(module, Seq2Seq) for module in model.modules())  # also inside peft
    return model(IDS, IDS[:, :3]) if two_texts else model(IDS)


def values(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def trained(model: nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}
