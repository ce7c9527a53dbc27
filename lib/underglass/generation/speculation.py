"""Speculative decoding: a cheap model guesses ahead, the large one checks all guesses at once.

The text has exactly the distribution that the large model alone would give it.

References: Leviathan, Kalman and Matias (2023), "Fast Inference from Transformers via Speculative
Decoding", algorithm 1; Chen et al. (2023), "Accelerating Large Language Model Decoding with
Speculative Sampling", algorithm 2.
Chapter: chapters/10_generation.ipynb
"""

from collections.abc import Callable, Collection
from contextlib import ExitStack
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from underglass.generation import prompts
from underglass.generation.loop import generating
from underglass.generation.prompts import Prompt
from underglass.generation.sampling import check_sampling, draw, next_token_logits
from underglass.models.seq2seq import Seq2Seq


@runtime_checkable
class Counted(Protocol):
    """A model that says itself how probable each next token is, as an `NGram` does."""

    def probabilities(self, context: list[int]) -> Tensor:
        """P(w | context) for every token w."""
        ...


class Speculated(NamedTuple):
    """A text, and what it took.

    Attributes:
        tokens: the new tokens, without the prompt and without a stop token.
        passes: how often the large model was called; without a draft it is once a token.
        drafted: how many tokens were guessed.
        accepted: how many of them passed the check.
    """

    tokens: list[int]
    passes: int
    drafted: int
    accepted: int


def speculative(
    model: nn.Module,
    draft: nn.Module | Counted,
    prompt_ids: Prompt,
    max_new_tokens: int,
    *,
    num_drafted: int = 4,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    stop: int | Collection[int] = (),
    generator: torch.Generator | None = None,
) -> Speculated:
    """What `generate` might write with the same options, as likely as there, in fewer passes.

    Args:
        model: a GPT, a Llama, or what is called like one of them.
        draft: a smaller one with the same tokens; or what has `probabilities(context)` and
            `config.vocab_size`, such as an `NGram`.
        prompt_ids: the tokens of one prompt.
        max_new_tokens: how many to write, at most.
        num_drafted: how many tokens are guessed for each pass of the model.
        temperature, top_k, top_p, min_p: as in `generate`; the draft is cut by the same rules.
        stop: tokens that end the text; they are not given out.
        generator: of the random numbers, on the CPU.

    Raises:
        ValueError, TypeError, FloatingPointError: as `generate`; or if `num_drafted` is below 1, or
            the draft has other tokens, or no room for the text.
    """
    rows, alone = prompts.read_prompts(prompt_ids)
    if not alone:
        raise ValueError("prompt_ids is a batch: expected one prompt, for each goes its own way")
    prompts.check_room(model, rows, max_new_tokens)
    check_sampling(temperature, top_k, top_p, min_p)
    if isinstance(num_drafted, bool) or num_drafted < 1:
        raise ValueError(f"num_drafted={num_drafted}: expected at least 1")
    _check_draft(model, draft, rows, max_new_tokens)
    ends = prompts.read_stop(stop, prompts.size_of(model, "vocab_size"))

    def cut(logits: Tensor) -> Tensor:
        options = dict(top_k=top_k, top_p=top_p, min_p=min_p)
        logits = logits.double().cpu()
        return next_token_logits(logits, temperature=temperature, **options).softmax(dim=-1)  # pyright: ignore[reportArgumentType]

    room = len(rows[0]) + max_new_tokens - 1
    with ExitStack() as stack:
        for module in (model, draft):
            if isinstance(module, nn.Module):
                stack.enter_context(generating(module))
        reader = _Reader(model, room)
        guess = _guesser(draft, room)
        return _write(
            lambda ids, count: cut(reader(ids, count)),
            lambda ids: cut(guess(ids)),
            rows[0],
            max_new_tokens,
            num_drafted,
            ends,
            generator,
        )


def acceptance(
    target: Float[Tensor, "*batch vocab_size"], draft: Float[Tensor, "*batch vocab_size"]
) -> Float[Tensor, "*batch vocab_size"]:
    """min(1, target / draft): the chance that a guess of each token is accepted.

    Args:
        target, draft: probabilities; where the draft's is 0 no guess comes, and this is 1.
    """
    return torch.where(draft > target, target / draft, 1.0)


def leftover(
    target: Float[Tensor, "*batch vocab_size"], draft: Float[Tensor, "*batch vocab_size"]
) -> Float[Tensor, "*batch vocab_size"]:
    """max(target - draft, 0) over its sum: what is drawn from when a guess was not accepted.

    Args:
        target, draft: probabilities; where they are the same, no guess fails, and this is NaN.
    """
    missing = (target - draft).clamp(min=0)
    return missing / missing.sum(dim=-1, keepdim=True)


def _write(
    target: Callable[[list[int], int], Tensor],
    guess: Callable[[list[int]], Tensor],
    prompt: list[int],
    max_new_tokens: int,
    num_drafted: int,
    ends: frozenset[int],
    generator: torch.Generator | None,
) -> Speculated:
    """Guess, check, keep what passed and one token more; and again."""
    ids, passes, drafted, accepted = list(prompt), 0, 0, 0
    goal = len(prompt) + max_new_tokens
    while len(ids) < goal:
        drafts, guessed = [], list(ids)
        for _ in range(min(num_drafted, goal - len(ids) - 1)):
            drafts.append(guess(guessed))
            guessed.append(_draw(drafts[-1], generator))
        guesses = guessed[len(ids) :]
        targets = target(guessed, len(guesses) + 1)
        kept = _check(targets, drafts, guesses, generator)
        last = targets[kept] if kept == len(guesses) else leftover(targets[kept], drafts[kept])
        passes, drafted, accepted = passes + 1, drafted + len(guesses), accepted + kept
        for token in [*guesses[:kept], _draw(last, generator)]:
            if token in ends:
                return Speculated(ids[len(prompt) :], passes, drafted, accepted)
            ids.append(token)
    return Speculated(ids[len(prompt) :], passes, drafted, accepted)


def _check(
    targets: Tensor, drafts: list[Tensor], guesses: list[int], generator: torch.Generator | None
) -> int:
    """How many guesses are accepted: those before the first that is not."""
    for place, (draft, token) in enumerate(zip(drafts, guesses, strict=True)):
        if not _happens(float(acceptance(targets[place], draft)[token]), generator):
            return place
    return len(guesses)


def _happens(chance: float, generator: torch.Generator | None) -> bool:
    return float(torch.rand((), generator=generator, dtype=torch.float64)) < chance


def _draw(probabilities: Tensor, generator: torch.Generator | None) -> int:
    return int(draw(probabilities.log()[None], generator))


def _guesser(draft: nn.Module | Counted, room: int) -> Callable[[list[int]], Tensor]:
    """Ids in, the draft's logits of the next token out."""
    if not isinstance(draft, nn.Module):
        return lambda ids: draft.probabilities(ids).log()
    reader = _Reader(draft, room)
    return lambda ids: reader(ids, 1)[0]


class _Reader:
    """A model with a cache that forgets what has turned out to be wrong."""

    def __init__(self, model: nn.Module, room: int) -> None:
        self.model = model
        self.device = next(model.parameters()).device
        self.cache = model.new_cache(room)  # pyright: ignore[reportCallIssue]
        self.read: list[int] = []  # what the cache holds

    def __call__(self, ids: list[int], count: int) -> Float[Tensor, "seq vocab_size"]:
        """The logits after each of the last `count` tokens."""
        same = min(_common(self.read, ids), len(ids) - count)
        for layer in self.cache:
            layer.length = same  # what comes behind is written over
        fresh = torch.tensor([ids[same:]], device=self.device)
        self.read = list(ids)
        logits = self.model(fresh, cache=self.cache)[0, -count:]
        if logits.isnan().any():
            raise FloatingPointError(
                f"the {type(self.model).__name__} gives NaN as logits after {len(ids)} tokens: "
                "expected numbers; its weights may be NaN too"
            )
        return logits


def _common(one: list[int], other: list[int]) -> int:
    """How many tokens both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _check_draft(
    model: nn.Module, draft: object, rows: list[list[int]], max_new_tokens: int
) -> None:
    """Refuse a pair of models that cannot work together."""
    for name, module in (("model", model), ("draft", draft)):
        if isinstance(module, Seq2Seq):
            raise TypeError(f"{name} is a Seq2Seq: expected a model without an encoder")
    if not isinstance(draft, nn.Module | Counted):
        raise TypeError(
            f"draft={draft!r}: expected a GPT, a Llama, or a model with probabilities(context)"
        )
    vocab_size = prompts.size_of(model, "vocab_size")
    theirs = getattr(getattr(draft, "config", None), "vocab_size", None)
    if theirs != vocab_size:
        raise ValueError(
            f"draft has config.vocab_size={theirs}: expected {vocab_size}, the tokens of the model"
        )
    if isinstance(draft, nn.Module):
        try:
            prompts.check_room(draft, rows, max_new_tokens)
        except ValueError as error:
            raise ValueError(f"draft: {error}") from None
