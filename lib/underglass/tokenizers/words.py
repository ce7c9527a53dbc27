r"""Text into words, before any pair is merged: no token reaches across the border of two words.

The borders are a matter of taste, written as one regular expression. It keeps "dog", "dog." and
"dog!" from becoming three tokens that know nothing of each other.

References: Radford et al. (2019), "Language Models are Unsupervised Multitask Learners",
section 2.2; the pattern itself is in the code that came with it.
Chapter: chapters/02_tokens.ipynb
"""

import regex  # not `re`: that has no \p{L}

# In order of preference: an English ending; a run of letters, of digits, or of other marks, each
# with the one space before it; white space, of which the last is left to the word that follows.
GPT2_PATTERN = (
    r"'s|'t|'re|'ve|'m|'ll|'d"
    r"| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+"
    r"|\s+(?!\S)|\s+"
)

# All that Unicode's versions 17 and 18 have added, first and last of each run. A tokenizer has to
# cut a text as it did when the model was trained, whatever Unicode does. So these stay what they
# were in version 16, no characters yet, as in the Rust `tokenizers` 0.23 and in tiktoken 0.14.
# Read by the page's tokenizer too.
ADDED = """
558 58b-58c 5c8-5c9 88f b53-b54 c5c cdc 1acf-1af0 208f 209d-209f 20c1-20c4 2b96 2e60-2e63
a7ce-a7cf a7d2 a7d4 a7dd a7e2 a7f1 ab6c-ab6d fbc3-fbd2 fd90-fd91 fdc8-fdce 107bb-107bf 10940-10959
10ec5-10ec7 10ec9-10eee 10ef0-10efb 11b0a 11b60-11b67 11db0-11ddb 11de0-11de9 11df0-11df1 1246f
12475-1247f 12550-12686 16ea0-16eb8 16ebb-16ed3 16ff2-16ff6 187f8-187ff 18cd6-18cda 18d09-18d20
18d80-18df2 18e00-19191 191a0-191d2 1b123-1b128 1b168 1ccfa-1ccfc 1ceba-1ced0 1ced2-1ced4
1cedd-1cefd 1d127-1d128 1d1eb-1d1ff 1d250-1d281 1d6a6 1db00-1db1c 1df1f-1df24 1df2b-1df81
1df90-1df96 1dfcd-1dfff 1e6c0-1e6de 1e6e0-1e6f5 1e6fe-1e6ff 1f1ae 1f6d8-1f6d9 1f777-1f77a
1f7da-1f7db 1f7f1-1f7ff 1f8d0-1f8d8 1fa54-1fa57 1fa8a-1fa8e 1fac8 1facc-1facd 1fadd 1faea-1faeb
1faef 1faf9-1fafa 1fbfa 2b73a-2b73f 2b81e 2cea2-2cead 323b0-33479 3d000-3fc3f
"""
_NO_CHARACTER = "\uffff"  # Unicode promises never to make this one a letter or anything else


def _character_class(runs: str) -> str:
    """[...] that matches one character of the runs."""
    ends = (run.split("-") for run in runs.split())
    return "[" + "".join("-".join(rf"\U{code:0>8}" for code in run) for run in ends) + "]"


_NEW = regex.compile(_character_class(ADDED))


def compile_pattern(pattern: str) -> regex.Pattern[str]:
    """The pattern, ready for use.

    Raises:
        ValueError: if it is not a regular expression, or may match nothing at all.
    """
    if not isinstance(pattern, str):
        raise TypeError(f"pattern={pattern!r}: expected a regular expression, a string")
    try:
        compiled = regex.compile(pattern)
    except regex.error as error:
        raise ValueError(f"pattern={pattern!r} is not a regular expression: {error}") from error
    if compiled.search("") is not None:
        raise ValueError(f"pattern={pattern!r} matches the empty text: expected whole words")
    return compiled


def split_words(text: str, pattern: regex.Pattern[str]) -> list[str]:
    """What the pattern matches, and what is left between two matches; joined, they are the text."""
    seen = text if text.isascii() else _NEW.sub(_NO_CHARACTER, text)
    words = [] if pattern.groups else pattern.findall(seen)  # with groups it finds those instead
    if seen == text and sum(map(len, words)) == len(text):
        return list(filter(None, words))
    words, end = [], 0
    for match in pattern.finditer(seen):
        words += text[end : match.start()], text[match.start() : match.end()]
        end = match.end()
    return list(filter(None, [*words, text[end:]]))
