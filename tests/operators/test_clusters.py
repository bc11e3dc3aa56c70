"""Clusters of items: they find what is there, keep their ids, and follow what comes."""

import msgspec
import numpy as np
import pytest

from operators.clusters import (
    LANGUAGES_MAX,
    TOPICS_MAX,
    Clusters,
    ClusterSettings,
    Sample,
    group,
    learn,
    weights,
)
from operators.naming import hides, identity, is_due, rename, renamed, shown, told
from operators.stage import StructCodec

DIMENSIONS = 16
THEMES = {
    0: {"en": ["guitar", "string"], "zh": ["吉他", "琴弦"]},
    1: {"en": ["film", "actor"], "zh": ["电影", "演员"]},
    2: {"en": ["soup", "recipe"], "zh": ["汤", "菜谱"]},
}
SPOKEN = {"en": 0, "zh": 2 * np.random.default_rng(9).normal(size=DIMENSIONS)}
"""Each language has a part of the cone of its own, farther from the other than the themes are."""

SETTINGS = ClusterSettings(clusters=3)
CODEC = StructCodec(Clusters)


def stream(count, seed=1, themes=(0, 1, 2), spoken=("en", "zh")):
    """Items about the themes around a mean, as an encoder's narrow cone has it."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(len(THEMES), DIMENSIONS))
    items, truth = [], []
    for at in range(count):
        theme = themes[at % len(themes)]
        raw = 5 + centres[theme] + 0.3 * random.normal(size=DIMENSIONS)
        language = spoken[random.integers(len(spoken))]
        raw += SPOKEN[language]
        vector = (raw / np.linalg.norm(raw)).astype(np.float32)
        words = [(word, 1.0) for word in [*THEMES[theme][language], "thing"]]
        items.append(Sample(f"{seed}-{at}", vector, language, words))
        truth.append(theme)
    return items, truth


def grouped(items, settings=SETTINGS):
    known = Clusters()
    group(known, items, settings)
    return known


def taught(known, items, settings=SETTINGS, at_once=20):
    """Further items, in batches; the same clusters."""
    for at in range(0, len(items), at_once):
        learn(known, items[at : at + at_once], 10_000, settings)
    return known


def best(known, items, settings=SETTINGS):
    """Id of the heaviest topic of each; empty if there is none."""
    found = weights(known, items, settings)
    return [topics[0][0].id if topics else "" for topics in found]


def ids(known):
    return {one.id for one in known.clusters}


def test_the_themes_are_found_and_named_in_both_languages():
    items, truth = stream(300)
    known = grouped(items)
    rename(known, SETTINGS)
    found = set(zip(truth, best(known, items), strict=True))
    assert len(found) == len({number for _, number in found}) == 3
    by_id = {one.id: one for one in known.clusters}
    for theme, number in found:
        for language in ("en", "zh"):
            name = shown(told(by_id[number], language))
            assert set(name.split(" / ")[:2]) == set(THEMES[theme][language])
            assert not name.startswith("thing")


def test_there_are_never_more_clusters_than_the_root_of_the_items():
    items, _ = stream(70)
    assert len(grouped(items, ClusterSettings()).clusters) <= 8
    assert len(grouped(items, ClusterSettings(clusters=5)).clusters) <= 5
    assert len(grouped(items[:3], ClusterSettings()).clusters) <= 2


def test_fewer_are_left_when_settings_allow_fewer():
    items, _ = stream(100)
    known = grouped(items, ClusterSettings(clusters=8))
    before = ids(known)
    group(known, items, ClusterSettings(clusters=2))
    assert ids(known) < before
    assert len(ids(known)) == 2
    assert known.begun == len(before)


def test_an_id_stays_with_its_theme_however_long_it_goes_on():
    items, truth = stream(3000)
    known = grouped(items[:300])
    for at in range(300, 3000, 300):
        taught(known, items[at : at + 300])
        assert best(known, items[:30]) == best(grouped(items[:300]), items[:30])
    for theme in THEMES:
        assert len({i for i, t in zip(best(known, items), truth, strict=True) if t == theme}) == 1


def test_grouping_afresh_keeps_the_ids_and_adds_new_ones_for_what_is_new():
    items, truth = stream(90)
    later, later_truth = stream(90, seed=2)
    few = [one for one, theme in zip(items, truth, strict=True) if theme != 2]
    known = grouped(few, ClusterSettings(clusters=2))
    before = dict(zip([one.item for one in few], best(known, few), strict=True))
    group(known, [*few, *later], SETTINGS)
    assert dict(zip(before, best(known, few), strict=True)) == before
    new = {number for number, theme in zip(best(known, later), later_truth, strict=True)
           if theme == 2}  # fmt: skip
    assert len(new) == 1
    assert not new & set(before.values())


def test_a_group_that_lost_all_its_items_ends():
    items, truth = stream(90)
    known = grouped(items)
    gone = [one for one, theme in zip(items, truth, strict=True) if theme == 0]
    (lost,) = set(best(known, gone))
    left = [one for one, theme in zip(items, truth, strict=True) if theme != 0]
    before = ids(known)
    for _ in range(2):
        group(known, left, ClusterSettings(clusters=2))
    assert ids(known) <= before
    assert known.begun == 3
    assert lost in before


def test_a_theme_that_nothing_joins_ends_and_makes_room_under_a_new_id():
    settings = ClusterSettings(clusters=2, keep=0.01, novelty=0.2)
    old, truth = stream(200, themes=(0, 1))
    known = grouped(old, settings)
    before = ids(known)
    (home,) = {i for i, t in zip(best(known, old), truth, strict=True) if t == 0}
    taught(known, stream(2000, seed=3, themes=(0,))[0], settings)
    assert ids(known) == {home}
    later, _ = stream(400, seed=4, themes=(0, 2))
    found = best(taught(known, later, settings), later, settings)
    assert set(found[0::2]) == {home}
    assert len(set(found[1::2])) == 1
    assert not set(found[1::2]) & before


@pytest.mark.parametrize("seed", range(5))
def test_an_id_is_never_given_again(seed):
    settings = ClusterSettings(clusters=4, keep=0.001, novelty=0.5, count_min=2.0)
    random = np.random.default_rng(seed)
    known, alive, ended = grouped(stream(60)[0], settings), set(), set()
    for turn in range(60):
        themes = tuple(random.choice(3, size=random.integers(1, 3), replace=False).tolist())
        items, _ = stream(int(random.integers(20, 200)), seed=100 * seed + turn, themes=themes)
        if random.random() < 0.2:
            group(known, items, settings)
        else:
            taught(known, items, settings)
        ended |= alive - ids(known)
        alive = ids(known)
        assert not alive & ended
        assert len(alive) <= 4
    assert ended, "some have to end, or nothing is shown"


def test_the_same_items_give_the_same_bytes_and_they_go_on_from_them():
    items, _ = stream(400)
    whole = taught(grouped(items[:100]), items[100:])
    assert CODEC.encode(taught(grouped(items[:100]), items[100:])) == CODEC.encode(whole)
    again = CODEC.decode(CODEC.encode(taught(grouped(items[:100]), items[100:200])))
    assert CODEC.encode(taught(again, items[200:])) == CODEC.encode(whole)


def test_counts_fade_as_if_each_were_faded():
    items, _ = stream(500)
    settings = ClusterSettings(clusters=3, keep=0.5)
    known = taught(grouped(items[:100], settings), items[100:], settings, at_once=100)
    wanted = 100.0
    for _ in range(4):
        wanted = wanted * 0.5**0.1 + 100
    assert sum(one.count for one in known.clusters) / known.gain == pytest.approx(wanted)


def test_counts_stay_small_however_long_they_fade():
    items, _ = stream(120)
    settings = ClusterSettings(clusters=3, keep=1e-9)
    known = grouped(items, settings)
    for _ in range(200):
        learn(known, items, 120, settings)
        assert known.gain < 1e12
        assert all(one.count < 1e15 for one in known.clusters)
    rename(known, settings)
    assert len(set(best(known, items[:3], settings))) == 3


def test_the_state_is_bounded():
    settings = ClusterSettings(clusters=2, words_max=5)
    items, _ = stream(1000)
    spoken = ["en", "zh", "de", "fr", "es", "it", "nl"]
    items = [one._replace(language=spoken[at % 7], words=[(f"w{at}", 1.0), (f"v{at}", 1.0)])
             for at, one in enumerate(items)]  # fmt: skip
    known = taught(grouped(items[:100], settings), items[100:], settings)
    for one in known.clusters:
        assert len(one.words) <= LANGUAGES_MAX
        assert all(len(words) <= 10 for words in one.words.values())


def test_a_text_that_is_near_to_nothing_has_no_topic_and_none_has_many():
    items, _ = stream(300)
    known = grouped(items)
    assert all(1 <= len(topics) <= TOPICS_MAX for topics in weights(known, items, SETTINGS))
    for topics in weights(known, items, SETTINGS):
        parts = [weight for _, weight in topics]
        assert parts == sorted(parts, reverse=True)
        assert sum(parts) <= 1 + 1e-9
    far = ClusterSettings(clusters=3, similarity_min=1.0)
    assert weights(known, items, far) == [[]] * 300
    assert weights(Clusters(), items, SETTINGS) == [[]] * 300


@pytest.mark.parametrize(
    "wrong", [{"clusters": 1}, {"keep": 0.0}, {"temperature": 0}, {"name_words": 0}]
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(msgspec.ValidationError, match=r"clusters \d+ lies in 2 to 256"):
        msgspec.convert(wrong, ClusterSettings)


# --- names


def one_cluster(*words):
    """A cluster of items of these tags beside one of other items."""
    items, truth = stream(60, themes=(0, 1), spoken=("en",))
    chosen = iter(words * 60)
    items = [one._replace(words=[(w, 1.0) for w in next(chosen).split(",")] if theme == 0
                          else [("other", 1.0)])
             for one, theme in zip(items, truth, strict=True)]  # fmt: skip
    known = grouped(items, ClusterSettings(clusters=2))
    rename(known, SETTINGS)
    (number,) = set(best(known, items[::2]))
    return next(one for one in known.clusters if one.id == number)


def test_a_name_does_not_say_a_word_twice():
    name = shown(told(one_cluster("guitar,guitar string,Guitar,strap"), "en"))
    assert sorted(name.lower().split(" / ")) == ["guitar", "strap"]


def test_a_word_of_all_clusters_tells_none():
    items, truth = stream(180)
    known = grouped([one._replace(words=[("thing", 1.0), (f"{theme}-{n % 12}", 1.0)])
                     for n, (one, theme) in enumerate(zip(items, truth, strict=True))])  # fmt: skip
    rename(known, SETTINGS)
    assert not any("thing" in name for one in known.clusters for name in one.names.values())


def test_two_clusters_have_two_names_where_there_are_words_for_it():
    items, truth = stream(90)
    words = [("a", 1.0), ("b", 0.9), ("c", 0.8)]
    known = grouped([one._replace(words=[*words, (f"d{theme}", 0.1)])
                     for one, theme in zip(items, truth, strict=True)])  # fmt: skip
    rename(known, ClusterSettings(name_words=1))
    for language in ("en", "zh"):
        assert len({one.names[language] for one in known.clusters}) == 3
    known = grouped([one._replace(words=words) for one in items])
    rename(known, SETTINGS)
    assert {frozenset(one.names["en"].split(" / ")) for one in known.clusters} == {frozenset("abc")}


def test_a_word_of_one_item_is_only_a_name_where_nothing_else_is():
    words = ["rare,strap"] + 29 * ["strap"]
    assert shown(told(one_cluster(*words), "en")) == "strap / rare"
    many = ["rare,strap,amp,pick"] + 29 * ["strap,amp,pick"]
    assert "rare" not in told(one_cluster(*many), "en")


def test_a_language_that_hardly_any_item_is_in_hears_the_name_in_another():
    known = grouped(stream(300)[0])
    for one in known.clusters:
        one.items["de"], one.words["de"] = 2.0, {"Wort": 2.0}
    rename(known, SETTINGS)
    for one in known.clusters:
        assert set(one.names) == {"en", "zh"}
        most = max(("en", "zh"), key=lambda language: one.items[language])
        assert told(one, "de") == told(one, "und") == told(one, most)


def test_a_cluster_without_words_is_told_by_its_id():
    items = [one._replace(words=[]) for one in stream(60)[0]]
    known = grouped(items)
    rename(known, SETTINGS)
    assert not is_due(known)
    (name,) = {told(one, "en") for one in known.clusters[:1]}
    assert name == f"#{known.clusters[0].id}" == identity(name) == shown(name)


def test_names_are_made_anew_now_and_then():
    items, _ = stream(400)
    known = grouped(items[:100])
    assert is_due(known)
    rename(known, SETTINGS)
    assert not is_due(taught(known, items[100:120]))
    assert is_due(taught(known, items[120:130]))
    rename(known, SETTINGS)
    known.clusters[0].names = {}
    assert is_due(known)


def test_what_is_known_of_a_topic_goes_on_under_its_new_name():
    tags = {"film": 1.0, "guitar #1-aaaa": 2.0, "film #2-bbbb": 3.0}
    renamed(tags, "guitar / strap #1-aaaa")
    renamed(tags, "film #3-cccc")
    renamed(tags, "strap")
    assert tags == {"film": 1.0, "guitar / strap #1-aaaa": 2.0, "film #2-bbbb": 3.0}


def test_a_hidden_topic_is_hidden_under_every_name():
    hidden = ["heist", "guitar #1-aaaa"]
    assert hides(hidden, "heist")
    assert hides(hidden, "吉他 #1-aaaa")
    assert not hides(hidden, "guitar")
    assert not hides(hidden, "guitar #11-aaaa")
    assert not hides([], "guitar #1-aaaa")
