"""Text from a model: which token comes next, again and again.

    tokens = generate(model, tokenizer.encode("The state of the"), 20, temperature=0.8, top_p=0.9)
    for token in stream(model, prompt, 20): ...        # one at a time, as they come
    best, *others = beam_search(model, prompt, 20, num_beams=4)
    text = speculative(model, draft, prompt, 20).tokens        # a small model guesses ahead
    found = TextIndex(training).longest(tokens)                # has this been said before?

Chapter: chapters/10_generation.ipynb
"""

from underglass.generation.beams import Beam, beam_search
from underglass.generation.loop import generate, stream
from underglass.generation.memory import Match, TextIndex
from underglass.generation.sampling import (
    draw,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    next_token_logits,
    penalize_repetition,
)
from underglass.generation.speculation import Speculated, acceptance, leftover, speculative

__all__ = [
    "Beam",
    "Match",
    "Speculated",
    "TextIndex",
    "acceptance",
    "beam_search",
    "draw",
    "generate",
    "keep_min_p",
    "keep_top_k",
    "keep_top_p",
    "leftover",
    "next_token_logits",
    "penalize_repetition",
    "speculative",
    "stream",
]
