"""The real data sets: each is what the table says, and reads as what its record says.

They come from the cache, which `python -m underglass.data` fills; no test here uses the network.
"""

import re
import shutil
from collections import Counter
from functools import cache

import pytest
from underglass import data
from underglass.data.store import content_hash, is_complete
from underglass.data.table import GROUPS, TABLE


@cache
def real(name):
    if not is_complete(TABLE[name]):
        pytest.fail(f"data {name!r} is not here: run `python -m underglass.data {name}`")
    return data.load(name)


@pytest.mark.parametrize("name", GROUPS["tests"])
def test_the_cached_bytes_are_those_of_the_table(name):
    assert is_complete(TABLE[name]), f"run `python -m underglass.data {name}`"
    assert content_hash(data.path(name)) == TABLE[name].content


def test_minilm_has_what_a_model_needs(tmp_path):
    folder = data.path("minilm")
    names = {"config.json", "model.safetensors", "tokenizer.json", "vocab.txt"}
    assert names <= {path.name for path in folder.iterdir()}
    weights = real("minilm")
    assert weights["embeddings.word_embeddings.weight"].shape == (30522, 384)
    assert len((folder / "vocab.txt").read_text(encoding="utf-8").splitlines()) == 30522


def test_minilms_second_source_gives_the_same_vocabulary(tmp_path):
    real("minilm")
    shutil.copy(data.path("minilm") / "tokenizer.json", tmp_path)
    complete = TABLE["minilm"].sources[1].complete
    assert complete is not None
    complete(tmp_path)
    expected = (data.path("minilm") / "vocab.txt").read_bytes()
    assert (tmp_path / "vocab.txt").read_bytes() == expected


def test_speeches():
    speeches = real("speeches")
    assert len(speeches) == 249
    assert sum(speech.annual for speech in speeches) == 237
    assert [speech.date for speech in speeches] == sorted(speech.date for speech in speeches)
    assert all(speech.date.startswith(str(speech.year)) for speech in speeches)
    assert sum(len(speech.text.encode()) for speech in speeches) == 12_185_751
    first, last = speeches[0], speeches[-1]
    assert (first.year, first.president, first.party) == (1790, "George Washington", "Nonpartisan")
    assert first.text.startswith("Fellow-Citizens of the Senate and House of Representatives:\n\n")
    assert last.year == 2026
    assert len({speech.president for speech in speeches}) == 43


def test_verses_of_both_translations_have_the_same_addresses():
    old, new = (
        {(verse.book, verse.chapter, verse.verse): verse.text for verse in real(name)}
        for name in ("kjv", "web")
    )
    assert (len(old), len(new), len(old.keys() & new.keys())) == (31_102, 31_098, 31_098)
    assert old["John", 11, 35] == new["John", 11, 35] == "Jesus wept."
    assert new["Genesis", 1, 3] == 'God said, "Let there be light," and there was light.'
    # Counted to another chapter, and to a book of another name, in one of the files.
    assert old["Romans", 16, 25].startswith("Now to him that is of power to stablish you")
    assert new["Romans", 16, 25].startswith("Now to him who is able to establish you")
    assert old["Song of Solomon", 2, 1] != new["Song of Solomon", 2, 1]
    for name in ("kjv", "web"):
        assert len({verse.book for verse in real(name)}) == 66


def test_verses_have_no_headings_brackets_or_placeholders():
    for verse in [*real("kjv"), *real("web")]:
        found = re.search(r"Psalm \d|BOOK|[\[\]`\n]|inserted by|  |,? (Lover|Friends)$", verse.text)
        assert not found, verse
        assert verse.text.strip() == verse.text != ""
    new = {(verse.book, verse.chapter, verse.verse): verse.text for verse in real("web")}
    assert new["Psalms", 119, 160].endswith("righteous ordinances endures forever.")
    assert new["Psalms", 72, 20] == "This ends the prayers by David, the son of Jesse."
    assert new["Job", 42, 17] == "So Job died, being old and full of days."
    assert new["Song of Solomon", 7, 8].endswith("The smell of your breath like apples,")


def test_sentiment():
    texts = real("sentiment")
    counts = {"movie": 10_605, "tweet": 4_200, "product": 3_708, "editorial": 5_190}
    assert Counter(rated.origin for rated in texts) == counts
    assert [rated.origin for rated in texts[:10_605]] == ["movie"] * 10_605
    people = [len(rated.ratings) for rated in texts if rated.origin == "movie"]
    assert (min(people), max(people)) == (15, 29)
    assert {rating for rated in texts for rating in rated.ratings} == set(range(-4, 5))
    off = [t for t in texts if abs(sum(t.ratings) / len(t.ratings) - t.rating) > 1e-6]
    assert Counter(rated.origin for rated in off) == {"tweet": 199}  # as published
    assert texts[2].text == "Effective but too tepid biopic"
    assert texts[2].rating == -0.6
    assert any(rated.text == "Makes S&M seem very romantic, and Maggie Gyllenhaal is a delight."
               for rated in texts)  # fmt: skip
    assert not any("&amp;" in rated.text or "\ufeff" in rated.text for rated in texts)


def test_dialogues_keep_no_sender():
    dialogues = real("dialogues")
    assert len(dialogues) == 7_168
    assert sum(len(turn.messages) for talk in dialogues for turn in talk.turns) == 258_145
    assert sum(len(talk.turns) == 1 for talk in dialogues) == 3_150
    for talk in dialogues:  # the two take turns
        assert [turn.speaker for turn in talk.turns] == [i % 2 for i in range(len(talk.turns))]
        assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", repr(talk))
    assert sum(talk.witty is not None for talk in dialogues) == 5_988
    assert dialogues[0].turns[0].messages == ("Hello", "How are you doing today?")


def test_factbook():
    countries = real("factbook")
    assert len(countries) == 256
    assert len({country.name for country in countries}) == 256
    places = [(country.region, country.code) for country in countries]
    assert places == sorted(places)
    named = {country.name: country for country in countries}
    assert {"France", "Côte d'Ivoire", "European Union", "World"} <= set(named)
    assert named["France"].facts["Government / Capital / name"] == "Paris"
    area = named["France"].facts["Geography / Area / total"]
    assert area == "643,801 sq km ; 551,500 sq km (metropolitan France)"
    for country in countries:
        for fact in country.facts.values():
            assert not re.search(r"</?[a-z]+ ?/?>|&[a-z]+;|\xa0", fact), fact


def test_tagging():
    tweets = real("tagging")
    assert len(tweets) == 2_394
    assert all(len(tweet.words) == len(tweet.tags) > 0 for tweet in tweets)
    kinds = {tag[2:] for tweet in tweets for tag in tweet.tags if tag != "O"}
    assert kinds == {"company", "facility", "geo-loc", "movie", "musicartist", "other", "person",
                     "product", "sportsteam", "tvshow"}  # fmt: skip
    begins = [tag for tweet in tweets for tag in tweet.tags if tag.startswith("B-")]
    assert len(begins) == 1_496
    assert tweets[0].words[14:17] == ("Empire", "State", "Building")
    assert tweets[0].tags[14:17] == ("B-facility", "I-facility", "I-facility")


def test_gpt2():
    ranks = real("gpt2")
    assert list(ranks.values()) == list(range(50_256))
    assert {bytes([byte]) for byte in range(256)} <= ranks.keys()
    assert ranks[b" the"] == 262


def test_pronouns_are_the_books_own():
    sentences = real("pronouns")
    assert len(sentences) >= 100
    for entry in sentences:
        assert entry.words[entry.pronoun].lower() in {
            "he", "him", "his", "himself", "she", "her", "hers", "herself",
            "it", "its", "itself", "they", "them", "their", "theirs", "themselves",
        }  # fmt: skip
        assert entry.antecedent in entry.nouns
        assert len(entry.nouns) > 1  # or there would be nothing to choose
        assert max(entry.nouns) < entry.pronoun
        assert "".join(entry.words) == entry.sentence.replace(" ", "")
    assert sentences[0].words[sentences[0].antecedent] == "Sarah"
    assert {entry.clue for entry in sentences} == {"gender", "number", "animacy", "sense"}


@pytest.mark.slow
def test_glove():
    if not is_complete(TABLE["glove"]):
        pytest.skip("glove (76 MB) is not here: run `python -m underglass.data glove`")
    pytest.importorskip("pyarrow", reason="glove's list of words needs `pip install pyarrow`")
    glove = data.load("glove")
    assert glove.vectors.shape == (400_000, 50)
    assert len(set(glove.words)) == 400_000
    assert glove.words[:5] == ("the", ",", ".", "of", "to")
    assert glove.vectors[0, :3].tolist() == pytest.approx([0.418, 0.24968, -0.41242])


@pytest.mark.parametrize("name", ["speeches", "tagging", "gpt2", "pronouns"])
def test_records_do_not_change_between_loads(name):
    assert real(name) == data.load(name)


def test_unknown_name_suggests_near_ones():
    with pytest.raises(ValueError, match=r"name='speach' is not a data set: expected one of "
                       r"\['minilm', .*did you mean 'speeches'\?"):  # fmt: skip
        data.load("speach")
    with pytest.raises(data.UnknownNameError, match=r"name='qqq' is not a data set"):
        data.path("qqq")


def test_sources_say_where_all_is_from_and_under_which_licence():
    table = data.sources()
    assert {entry.name for entry in table} == set(TABLE)
    text, page = repr(table), table._repr_html_()
    for entry in TABLE.values():
        for part in (entry.name, entry.licence, entry.leaves_open, entry.citation):
            assert part
            assert part in text
        for source in entry.sources:
            assert source.release in text
            assert source.release in page
            assert re.fullmatch(r"[0-9a-f]{64}", source.sha256)
    assert page.count("<tr>") == len(TABLE) + 1
    assert "people&#x27;s small talk" in page  # escaped
