"""Words with their part of speech: Chinese by jieba, English by HanTa, other languages by letters.

Traditional Chinese is read as simplified (OpenCC), so that both share tags. English words come in
their dictionary form. Stop words are those of stopwords-iso.
"""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple

Kind = Literal["noun", "name", "verb", "adjective", "other", "break"]

_TOKENS = re.compile(r"[^\W_]+(?:['’\-.][^\W_]+)*|[.,;:!?()\[\]\"…\n]")
_SENTENCE_END = {".", "!", "?", "\n"}
_CHINESE_KINDS: dict[str, Kind] = {"n": "noun", "v": "verb", "a": "adjective"}
_CHINESE_NAMES = {"nr", "nrt", "nrfg", "ns", "nt", "nz", "eng"}
_CHINESE_VERBAL_NOUNS = {"vn", "an"}
_ENGLISH_KINDS: dict[str, Kind] = {
    "NN": "noun",
    "NP": "name",
    "VV": "verb",
    "AJ": "adjective",
    "UN": "noun",
}
_CACHED_WORDS = 50_000
_LONGEST = 40  # letters; what is longer is an address or a slip of the keyboard


class Word(NamedTuple):
    """One word of a text.

    Attributes:
        text: Dictionary form, lower case unless it is a name.
        kind: Part of speech; `break` is punctuation, where a phrase cannot go on.
        stop: Whether it says nothing by itself.
    """

    text: str
    kind: Kind
    stop: bool


def words(text: str, language: str) -> list[Word]:
    """The words of a normalised text, in order.

    >>> [word.text for word in words("這款無線耳機很好", "zh") if word.kind == "noun"]
    ['无线耳机']
    """
    if language == "zh":
        return list(_chinese(text))
    return list(_spaced(text, language))


def simplified(text: str) -> str:
    """Traditional Chinese characters replaced by simplified ones.

    >>> simplified("音樂 music")
    '音乐 music'
    """
    return str(_converter().convert(text))


def _chinese(text: str) -> Iterator[Word]:
    stops = stop_words("zh")
    for piece, tag in _segmenter().tag(simplified(text)):
        if not piece.strip():
            continue
        if tag == "eng":
            yield from _spaced(piece, "en")
            continue
        if tag == "x" and not piece.isalnum():
            yield Word(piece, "break", stop=True)
            continue
        kind: Kind = _CHINESE_KINDS.get(tag[:1], "other")
        if tag in _CHINESE_VERBAL_NOUNS:
            kind = "noun"
        elif tag in _CHINESE_NAMES:
            kind = "name"
        yield Word(piece, kind, stop=piece in stops or piece.isdigit())


def _spaced(text: str, language: str) -> Iterator[Word]:
    stops = stop_words(language)
    first = True
    for token in _TOKENS.findall(text):
        if not token[0].isalnum():
            first = first or token in _SENTENCE_END
            yield Word(token, "break", stop=True)
            continue
        lower = token.lower()
        stop = lower in stops or lower.isdigit() or len(token) > _LONGEST
        if language == "en":
            lemma, kind = _english(lower if first or stop else token)
        else:
            lemma, kind = lower, "noun"
        yield Word(lemma, kind, stop=stop)
        first = False


@lru_cache(_CACHED_WORDS)
def _english(token: str) -> tuple[str, Kind]:
    """Dictionary form and part of speech of one word, as it is most often used."""
    if len(token) > _LONGEST or not token.isascii() or not token[0].isalpha():
        return token.lower(), "other"
    if len(token) > 1 and token.replace(".", "").isupper():
        return token, "name"  # initials have no other form
    lemma, tag = _tagger().analyze(token)
    kind: Kind = _ENGLISH_KINDS.get(tag[:2], "other")
    return (lemma if kind == "name" else lemma.lower()), kind


@cache
def stop_words(language: str) -> frozenset[str]:
    """Stop words of a language, lower case; empty where none are known."""
    import stopwordsiso

    if not stopwordsiso.has_lang(language):
        return frozenset()
    return frozenset(stopwordsiso.stopwords(language))


@cache
def _converter() -> Any:
    import opencc

    return opencc.OpenCC("t2s")


@cache
def _segmenter() -> Any:
    import rjieba

    return rjieba


@cache
def _tagger() -> Any:
    from HanTa.HanoverTagger import HanoverTagger

    return HanoverTagger("morphmodel_en.pgz")
