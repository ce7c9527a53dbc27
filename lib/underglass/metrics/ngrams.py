"""Runs of n tokens, which BLEU and ROUGE count and compare."""

from collections import Counter
from collections.abc import Sequence


def ngrams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """How often each run of n neighbouring tokens occurs; none where there are fewer than n."""
    return Counter(zip(*(tokens[start:] for start in range(n)), strict=False))
