"""Names of clusters: their most telling words, by class-based TF-IDF (Grootendorst 2022, BERTopic).

    worth = tf(word, cluster) * log(share of the word in the cluster / share of it in all)

in each language by itself. (BERTopic's log(1 + A / tf(word)), with A words a cluster on average,
never comes down to nothing: words of all clusters stayed in names.) The words are tags of items, so
names hold nouns and names and no stop words or markup; a word that another one of the name holds
already is left out, and one of a single item where there are many. A cluster is named in the
languages that a fair part of its items are in; a text in another language is told the name in the
one that most of them are in.

Names are made anew with each map and whenever a quarter more items have been learned, so they
become better without wavering from item to item. What tells a cluster is therefore its id, which
stands behind the name: `guitar / string #17-3fa1`.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from math import log
from typing import TypeVar

from operators.clusters import Cluster, Clusters, ClusterSettings

V = TypeVar("V")

SHARE_MIN = 0.1
"""Part of a cluster's items that a language has to have, for a name in it."""

_RENAMED_AT = 1.25
_MANY, _ALONE = 8.0, 1.5
_NAMED = re.compile(r"(?:(.+) )?#(\d+-[0-9a-f]{4})")


def shown(name: str) -> str:
    """A topic's name without its id; the name of any other topic or tag as it is.

    >>> shown("guitar / string #17-3fa1"), shown("drama")
    ('guitar / string', 'drama')
    """
    found = _NAMED.fullmatch(name) if "#" in name else None
    return found[1] or name if found else name


def identity(name: str) -> str:
    """What stays of a topic whatever its name: its id; any other topic or tag is its name.

    >>> identity("guitar / string #17-3fa1"), identity("drama")
    ('#17-3fa1', 'drama')
    """
    found = _NAMED.fullmatch(name) if "#" in name else None
    return f"#{found[2]}" if found else name


def hides(hidden: Collection[str], name: str) -> bool:
    """Whether a tag is among those hidden, a cluster's topic under whatever name."""
    if not hidden or name in hidden:
        return bool(hidden)
    return "#" in name and identity(name) in {identity(one) for one in hidden}


def renamed(tags: dict[str, V], name: str) -> None:
    """Let what is known of a cluster's topic stand under its present name."""
    if "#" not in name or name in tags:
        return
    own = identity(name)
    for other in tags:
        if "#" in other and identity(other) == own:
            tags[name] = tags.pop(other)
            return


def told(one: Cluster, language: str) -> str:
    """Name and id of a cluster, for a text in this language."""
    name = one.names.get(language) or one.names.get(_spoken(one), "")
    return f"{name} #{one.id}".lstrip()


def is_due(known: Clusters) -> bool:
    """Whether enough was learned since names were made, or a cluster has none."""
    grown = known.learned >= _RENAMED_AT * known.named
    return grown or not all(one.names for one in known.clusters)


def rename(known: Clusters, settings: ClusterSettings) -> None:
    """Make all names anew, the largest clusters first: no two of a language are the same words."""
    languages = sorted({language for one in known.clusters for language in one.words})
    everywhere = {language: _everywhere(known, language) for language in languages}
    taken: dict[str, set[frozenset[str]]] = {language: set() for language in languages}
    known.named = known.learned
    for one in sorted(known.clusters, key=lambda one: (-one.count, one.id)):
        least = SHARE_MIN * sum(one.items.values())
        spoken = sorted(language for language in one.words if one.items[language] >= least)
        one.names = {} if spoken else {"": ""}
        for language in spoken:
            best = _telling(one, language, everywhere[language], known.gain)
            words = _chosen(best, taken[language], settings.name_words)
            taken[language].add(frozenset(words))
            one.names[language] = " / ".join(words)


def _spoken(one: Cluster) -> str:
    return max(one.items, key=lambda language: (one.items[language], language), default="")


def _everywhere(known: Clusters, language: str) -> Mapping[str, float]:
    total: defaultdict[str, float] = defaultdict(float)
    for one in known.clusters:
        for word, weight in one.words.get(language, {}).items():
            total[word] += weight
    return total


def _telling(
    one: Cluster, language: str, everywhere: Mapping[str, float], gain: float
) -> list[str]:
    """The words of a cluster and language, most telling first."""
    words = {word: tf for word, tf in one.words[language].items() if tf > 0}
    total, own = sum(everywhere.values()), sum(words.values())
    many = one.count >= _MANY * gain

    def rank(word: str) -> tuple[bool, float, float, str]:
        tf = words[word]
        worth = tf * log(tf * total / (own * everywhere[word]))
        return many and tf < _ALONE * gain, -worth, -tf, word

    return sorted(words, key=rank)


def _chosen(words: Sequence[str], taken: Collection[frozenset[str]], count: int) -> list[str]:
    """The first words that hold none of each other; another last one where these are taken."""
    apart: list[str] = []
    for word in words:
        lower = word.lower()
        if not any(lower in one.lower() or one.lower() in lower for one in apart):
            apart.append(word)
    for last in apart[count - 1 :]:
        chosen = [*apart[: count - 1], last]
        if frozenset(chosen) not in taken:
            return chosen
    return apart[:count]
