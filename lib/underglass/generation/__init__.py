"""Text from a model: which token comes next, again and again.

    tokens = generate(model, tokenizer.encode("The state of the"), 20, temperature=0.8, top_p=0.9)
    for token in stream(model, prompt, 20): ...        # one at a time, as they come
    best, *others = beam_search(model, prompt, 20, num_beams=4)

Chapter: chapters/10_generation.ipynb
"""

from underglass.generation.beams import Beam, beam_search
from underglass.generation.loop import generate, stream
from underglass.generation.sampling import (
    draw,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    next_token_logits,
    penalize_repetition,
)

__all__ = [
    "Beam",
    "beam_search",
    "draw",
    "generate",
    "keep_min_p",
    "keep_top_k",
    "keep_top_p",
    "next_token_logits",
    "penalize_repetition",
    "stream",
]
