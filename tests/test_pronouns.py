"""The book's own sentences: marked without doubt, and not to be solved by a word's place alone."""

from collections import Counter

import pytest
from underglass import data, pretrained

CLUES = {"gender", "number", "animacy", "sense"}
SENTENCES = data.load("pronouns")


def test_there_are_enough_and_no_two_alike():
    assert len(SENTENCES) >= 100
    assert len({item.sentence for item in SENTENCES}) == len(SENTENCES)
    beginnings = Counter(item.words[:3] for item in SENTENCES)
    assert max(beginnings.values()) <= 3, beginnings.most_common(3)


def test_marks_are_in_order():
    for item in SENTENCES:
        assert item.antecedent in item.nouns, item.sentence
        assert list(item.nouns) == sorted(set(item.nouns)), item.sentence
        assert max(item.nouns) < item.pronoun, item.sentence
        assert 2 <= len(item.nouns) <= 5, item.sentence


def test_the_nearest_noun_is_right_about_half_of_the_time():
    """In all, and for each kind of clue; so nobody who bets on a place can win."""
    assert {item.clue for item in SENTENCES} == CLUES
    for clue in CLUES:
        chosen = [item for item in SENTENCES if item.clue == clue]
        nearest = sum(item.nouns[-1] == item.antecedent for item in chosen) / len(chosen)
        assert len(chosen) >= 30
        assert 0.4 <= nearest <= 0.6, (clue, nearest)
    first = sum(item.nouns[0] == item.antecedent for item in SENTENCES) / len(SENTENCES)
    assert first <= 0.5


@pytest.mark.parametrize("item", SENTENCES, ids=lambda item: item.words[item.antecedent])
def test_each_marked_word_is_one_token_once(item):
    """So that a chapter finds it by `tokens.index(word)`; and the picture of it fits a page."""
    tokens = pretrained.tokenizer("minilm").tokens(item.sentence)
    for place in (*item.nouns, item.pronoun):
        assert tokens.count(item.words[place].lower()) == 1, (item.sentence, item.words[place])
    assert len(tokens) <= 24
