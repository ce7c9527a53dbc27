"""Names found in texts: a whole entity is right, or it is wrong.

References: Tjong Kim Sang and De Meulder (2003), "Introduction to the CoNLL-2003 Shared Task",
section 2.3; Ramshaw and Marcus (1995), "Text Chunking using Transformation-Based Learning",
section 4 (tags that begin, continue, or stand outside). Chapter: chapters/12_tasks.ipynb
"""

from collections.abc import Sequence
from typing import NamedTuple


class Entity(NamedTuple):
    """Tokens `start` to `end` - 1 are a name of this kind."""

    kind: str
    start: int
    end: int


class EntityScores(NamedTuple):
    """Precision, recall and F1 over the entities of all texts, from 0 to 1."""

    precision: float
    recall: float
    f1: float


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of one text, from its tags: B-kind begins one, I-kind goes on with it.

    An I- that has nothing of its kind to go on with begins an entity too (conlleval's reading, and
    seqeval's unless told to be strict): a model's tags need not be well-formed.

    Raises:
        ValueError: if a tag is not "O", "B-kind" or "I-kind".
    """
    found: list[Entity] = []
    for place, tag in enumerate(tags):
        prefix, _, kind = tag.partition("-")
        if tag == "O":
            continue
        if prefix not in ("B", "I") or not kind:
            raise ValueError(f'tags[{place}]={tag!r}: expected "O", "B-kind" or "I-kind"')
        last = found[-1] if found else None
        if prefix == "I" and last and last.end == place and last.kind == kind:
            found[-1] = last._replace(end=place + 1)
        else:
            found.append(Entity(kind, place, place + 1))
    return found


def entity_f1(
    predictions: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]
) -> EntityScores:
    """Precision, recall and F1 of entities, found only if their kind and both ends are right.

    A score over tokens would be high for a model that finds nothing, since most tokens are "O".

    Args:
        predictions: the tags that the model chose, for each text one a token.
        targets: the true ones.

    Returns:
        0 where there is nothing to be a share of.

    Raises:
        ValueError: if there are not as many texts, or tags, or a tag is malformed.
    """
    _check(predictions, targets)
    chosen, true = (
        {(text, entity) for text, tags in enumerate(texts) for entity in entities(tags)}
        for texts in (predictions, targets)
    )
    right = len(chosen & true)
    return EntityScores(
        right / max(len(chosen), 1),
        right / max(len(true), 1),
        2 * right / max(len(chosen) + len(true), 1),
    )


def _check(predictions: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]) -> None:
    if len(predictions) != len(targets) or not targets:
        raise ValueError(
            f"predictions has {len(predictions)} texts, targets {len(targets)}: "
            "expected as many, at least 1"
        )
    for index, (chosen, true) in enumerate(zip(predictions, targets, strict=True)):
        if len(chosen) != len(true):
            raise ValueError(
                f"predictions[{index}] has {len(chosen)} tags, targets[{index}] {len(true)}: "
                "expected one for each token"
            )
