"""Train a GPT on two centuries of speeches, from the command line.

    python benchmarks/train_speeches.py                                             one process
    torchrun --nproc-per-node 2 benchmarks/train_speeches.py                        two
    torchrun --nproc-per-node 2 benchmarks/train_speeches.py --sharded              a share each

Stop it when you like, with Ctrl-C, a kill or a power cut: the same command goes on from the last
checkpoint. The folder keeps the tokenizer, the token ids, the checkpoint and the history; another
folder starts anew. With other numbers than those of the checkpoint it says which, and stops.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from underglass import data, device, losses, schedules
from underglass.models.gpt import GPT, GPTConfig
from underglass.optimizers import AdamW
from underglass.tokenizers import BPE
from underglass.training import fit

SEQ = 128  # tokens that the model sees at once


class Windows:
    """Stretches of the text, `rows` a batch, in an order that depends on seed and epoch alone."""

    def __init__(self, ids: Tensor, rows: int, seed: int = 0) -> None:
        self.windows = ids[: len(ids) // (SEQ + 1) * (SEQ + 1)].view(-1, SEQ + 1)
        self.rows, self.seed, self.epoch = rows, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
        order = torch.randperm(len(self.windows), generator=generator)
        return (self.windows[part] for part in order.split(self.rows))


def token_ids(folder: Path, vocab_size: int) -> Tensor:
    """All speeches one after the other; learned, encoded and kept at the first call."""
    kept = folder / f"ids-{vocab_size}.safetensors"
    if not kept.exists():
        texts = [speech.text for speech in data.load("speeches")]
        bpe = BPE.train(texts, vocab_size, special=["<|endoftext|>"], fast=True)
        bpe.save(folder / "tokenizer.json")
        encode, end = bpe.fast().encode, bpe.special["<|endoftext|>"]
        ids = torch.tensor([i for text in texts for i in [*encode(text), end]], dtype=torch.int32)
        own = kept.with_suffix(f".{os.getpid()}")  # two processes may be here at the same time
        save_file({"ids": ids}, own)
        own.replace(kept)
    return load_file(kept)["ids"].long()


def loss(model: nn.Module, windows: Tensor) -> Tensor:
    """How much each next token surprises, in nats."""
    return losses.cross_entropy(model(windows[:, :-1]), windows[:, 1:])


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a GPT on two centuries of speeches.")
    parser.add_argument("--folder", type=Path, default=Path("runs/speeches"))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=16, help="windows in a batch")
    parser.add_argument("--d-model", type=int, default=128)
    parser.add_argument("--num-layers", type=int, default=4)
    parser.add_argument("--vocab-size", type=int, default=2048)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--save-every", type=int, default=100)
    parser.add_argument("--sharded", action="store_true")
    options = parser.parse_args()

    if torch.cuda.is_available():  # each process of torchrun has a GPU of its own
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    options.folder.mkdir(parents=True, exist_ok=True)
    ids = token_ids(options.folder, options.vocab_size)
    held_back = 64 * (SEQ + 1)
    width = options.d_model
    config = GPTConfig(
        options.vocab_size, SEQ, width, options.num_layers, width // 32, 4 * width, dropout=0.0
    )
    model = GPT(config, generator=torch.Generator().manual_seed(0)).to(device())
    history = fit(
        model,
        Windows(ids[:-held_back], options.rows),
        AdamW(model.parameters(), options.rate, weight_decay=0.1),
        loss=loss,
        steps=options.steps,
        schedule=schedules.cosine(options.steps, warmup_steps=min(50, options.steps), floor=0.1),
        validation=Windows(ids[-held_back:], options.rows),
        validate_every=options.save_every,
        checkpoint=options.folder / "checkpoint.safetensors",
        checkpoint_every=options.save_every,
        max_norm=1.0,
        sharded=options.sharded,
        name="speeches",
    )
    if os.environ.get("RANK", "0") == "0":
        history.save(options.folder / "history.json")
        print(f"{history}, validation {history.validation_loss[-1]:.4f}")


if __name__ == "__main__":
    main()
