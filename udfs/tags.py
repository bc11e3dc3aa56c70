"""What a text is about in its own words: nouns, names and short noun phrases, weighted.

A tag's weight is its share of the text's content words, a little more for names and for what comes
early, scaled so that the strongest is 1. It depends on the text alone: the same text has the same
tags wherever and whenever it is read. How rare a tag is, is for whoever counts them to weigh in.
"""

from collections import defaultdict
from collections.abc import Sequence

from udfs.handler import Embedded, Failure, Limits, Named, Text
from udfs.words import Word, words

MAX_TAGS = 8
_NAME_BONUS = 1.5
_PHRASE_BONUS = 1.3
_EARLY_BONUS = 0.5
_PHRASE_WORDS = 3


def tags(text: Text, at_most: int = MAX_TAGS) -> list[Named]:
    """The strongest tags of a text, best first.

    >>> from udfs.handler import Text
    >>> [tag.name for tag in tags(Text(text="Nice guitar strings. These guitar strings last.",
    ...                                language="en"))]
    ['guitar string']
    """
    found = words(text.text, text.language)
    weights: dict[str, float] = defaultdict(float)
    for position, phrase in _phrases(found, text.language):
        early = 1 + _EARLY_BONUS * (1 - position / len(found))
        bonus = _NAME_BONUS if any(word.kind == "name" for word in phrase) else 1.0
        if len(phrase) > 1:
            bonus *= _PHRASE_BONUS
        weights[_join(phrase, text.language)] += early * bonus
    best = sorted(weights.items(), key=lambda entry: (-entry[1], entry[0]))[:at_most]
    return [Named(name, round(weight / best[0][1], 3)) for name, weight in best]


class Tags:
    """The handler of `tags`; it needs the text alone."""

    name = "tags"
    model = "tags-1"
    limits = Limits()

    def load(self) -> None:
        """Read the dictionaries, which takes a second or two."""
        for language in ("en", "zh"):
            words("a 好", language)

    def infer(self, batch: Sequence[Embedded]) -> list[tuple[Named, ...] | Failure]:
        """Tags a text."""
        return [tuple(tags(one.text)) for one in batch]


def _phrases(found: Sequence[Word], language: str) -> list[tuple[int, list[Word]]]:
    """Runs of nouns and names with their positions; in Chinese every word by itself."""
    runs: list[tuple[int, list[Word]]] = []
    longest = 1 if language == "zh" else _PHRASE_WORDS
    going = False
    for at, word in enumerate(found):
        good = word.kind in {"noun", "name"} and not word.stop and len(word.text) > 1
        if good and going and len(runs[-1][1]) < longest:
            runs[-1][1].append(word)
        elif good:
            runs.append((at, [word]))
        going = good
    return runs


def _join(phrase: Sequence[Word], language: str) -> str:
    return ("" if language == "zh" else " ").join(word.text for word in phrase)
