"""Byte-pair encoding: learn which neighbours to merge into one token, and merge them.

Each of the two algorithms stands here twice. The plain one is the definition, to be read; the
other is used, gives the same, and does not count again what has not changed.

Reference: Sennrich et al. (2016), "Neural Machine Translation of Rare Words with Subword Units",
section 3.2; on bytes instead of characters: Radford et al. (2019), "Language Models are
Unsupervised Multitask Learners", section 2.2.
Chapter: chapters/02_tokens.ipynb
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise
from math import inf

Merge = tuple[bytes, bytes]  # two tokens that become one
Pair = tuple[int, int]  # the same by their ids

# The first 256 tokens, so that no text is ever unknown. GPT-2 puts the bytes that can be seen as a
# character of Latin-1 first; ties are broken by id, so the order is part of the algorithm.
VISIBLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
BYTES = tuple(bytes([b]) for b in sorted(range(256), key=lambda b: (b not in VISIBLE, b)))
_BYTE_IDS = {byte[0]: i for i, byte in enumerate(BYTES)}

# ----------------------------------------------------------------------- learning


def learn_merges_plainly(words: Mapping[bytes, int], num_merges: int) -> list[Merge]:
    """Count all pairs of neighbours, merge the most frequent, and begin again.

    Args:
        words: how often each word occurs.

    Returns:
        The merges in the order in which they were learned: fewer than `num_merges` if before
        that every word has become one token. Of two pairs that are equally frequent, the one
        with the smaller ids comes first.
    """
    tokens = list(BYTES)
    parts = {tuple(_BYTE_IDS[b] for b in word): times for word, times in words.items()}
    merges = []
    while len(merges) < num_merges and (counts := count_pairs(parts)):
        pair = min(counts, key=lambda pair: (-counts[pair], pair))
        parts = {tuple(merge_pair(ids, pair, len(tokens))): n for ids, n in parts.items()}
        _add_token(pair, tokens, merges)
    return merges


def count_pairs(words: Mapping[tuple[int, ...], int]) -> Counter[Pair]:
    """How often each pair of neighbours occurs, in words that occur so many times."""
    counts = Counter()
    for ids, times in words.items():
        for pair in pairwise(ids):
            counts[pair] += times
    return counts


def merge_pair(ids: Sequence[int], pair: Pair, new: int) -> list[int]:
    """`ids` with `new` in the place of each `pair`, from left to right: aaa becomes (aa)a."""
    merged, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == pair
        merged.append(new if found else ids[i])
        i += 2 if found else 1
    return merged


def _add_token(pair: Pair, tokens: list[bytes], merges: list[Merge]) -> None:
    left, right = (tokens[i] for i in pair)
    tokens.append(left + right)
    merges.append((left, right))


def learn_merges(words: Mapping[bytes, int], num_merges: int) -> list[Merge]:
    """The same as `learn_merges_plainly`, but a merge counts again only the words that it changes.

    A heap holds the pairs, the most frequent on top. Once a pair has been met, its count can only
    fall, so a count in the heap may be out of date, but is never too small.
    """
    tokens, merges = list(BYTES), []
    parts = [[_BYTE_IDS[b] for b in word] for word in words]
    times = list(words.values())
    counts, where = Counter(), defaultdict(set)
    for i, ids in enumerate(parts):
        _count_word(i, ids, times[i], counts, where)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapify(heap)
    while len(merges) < num_merges and heap:
        count, pair = heappop(heap)
        if -count != counts[pair]:  # out of date: back to its place
            if counts[pair]:
                heappush(heap, (-counts[pair], pair))
            continue
        changes = Counter()
        for i in where.pop(pair):
            _count_word(i, parts[i], -times[i], changes, where)
            parts[i] = merge_pair(parts[i], pair, len(tokens))
            _count_word(i, parts[i], times[i], changes, where)
        counts.update(changes)
        for changed in changes:
            if len(tokens) in changed:  # a pair with the new token, never met before
                heappush(heap, (-counts[changed], changed))
        _add_token(pair, tokens, merges)
    return merges


def _count_word(
    i: int, ids: Sequence[int], times: int, counts: Counter[Pair], where: dict[Pair, set[int]]
) -> None:
    for pair in pairwise(ids):
        counts[pair] += times
        where[pair].add(i)


# ----------------------------------------------------------------------- merging


def merge_word_plainly(word: bytes, ranks: Mapping[Merge, int]) -> list[bytes]:
    """Merge the two neighbours whose merge was learned first; again, until none can be merged.

    Args:
        ranks: merge -> when it was learned.
    """
    parts = [word[i : i + 1] for i in range(len(word))]
    while len(parts) > 1:
        rank, i = min((ranks.get(pair, inf), i) for i, pair in enumerate(pairwise(parts)))
        if rank == inf:
            break
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return parts


def merge_word(word: bytes, ranks: Mapping[Merge, int]) -> list[bytes]:
    """The same, in about n log n steps for a word of n bytes, where the definition takes n²."""
    parts = [word[i : i + 1] for i in range(len(word))]  # b"" once merged into the one before
    before, after = list(range(-1, len(word) - 1)), list(range(1, len(word) + 1))
    heap = []  # of (rank, place of the left one, pair): of equal ranks, the leftmost comes first
    for i, pair in enumerate(pairwise(parts)):
        if pair in ranks:
            heappush(heap, (ranks[pair], i, pair))
    while heap:
        _, i, pair = heappop(heap)
        j = after[i]
        if j == len(parts) or (parts[i], parts[j]) != pair:
            continue  # one of the two has been merged with another
        parts[i], parts[j] = parts[i] + parts[j], b""
        after[i] = after[j]
        if after[i] < len(parts):
            before[after[i]] = i
        for left, right in ((before[i], i), (i, after[i])):
            if left >= 0 and right < len(parts) and (parts[left], parts[right]) in ranks:
                pair = parts[left], parts[right]
                heappush(heap, (ranks[pair], left, pair))
    return [part for part in parts if part]
