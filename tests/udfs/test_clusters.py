"""Online clusters: they find what is there, keep their ids, and follow the seed."""

import numpy as np
import pytest

from udfs.clusters import Clusters, ClusterSettings, Seen
from udfs.errors import UnderstandingError

DIMENSIONS = 16
THEMES = {
    0: {"en": ["guitar", "string"], "zh": ["吉他", "琴弦"]},
    1: {"en": ["film", "actor"], "zh": ["电影", "演员"]},
    2: {"en": ["soup", "recipe"], "zh": ["汤", "菜谱"]},
}
SETTINGS = ClusterSettings(clusters=3, warm_up=60)


def stream(count, seed=1, themes=(0, 1, 2)):
    """Texts about the themes around a common mean, as an encoder's narrow cone has it."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(len(THEMES), DIMENSIONS))
    texts, truth = [], []
    for at in range(count):
        theme = themes[at % len(themes)]
        raw = 5 + centres[theme] + 0.3 * random.normal(size=DIMENSIONS)
        language = "en" if random.random() < 0.5 else "zh"
        vector = (raw / np.linalg.norm(raw)).astype(np.float32)
        texts.append(Seen(vector, language, [*THEMES[theme][language], "thing"]))
        truth.append(theme)
    return texts, truth


def learned(texts, settings=SETTINGS, batch=20):
    clusters = Clusters(DIMENSIONS, settings)
    ids = [
        one for at in range(0, len(texts), batch) for one in clusters.learn(texts[at : at + batch])
    ]
    return clusters, ids


def test_the_themes_are_found_and_named_in_both_languages():
    texts, truth = stream(300)
    clusters, ids = learned(texts)
    found = {(theme, number) for theme, number in zip(truth[60:], ids[60:], strict=True)}
    assert len(found) == len({number for _, number in found}) == 3
    for theme, number in found:
        for language in ("en", "zh"):
            name = clusters.names(language)[number]
            assert set(name.split(" / ")[:2]) == set(THEMES[theme][language])
            assert not name.startswith("thing")


def test_nothing_is_said_before_enough_was_seen():
    texts, _ = stream(59)
    clusters, ids = learned(texts)
    assert set(ids) == {0}
    assert clusters.topics(texts[0].vector, "en") == []
    assert clusters.learn([]) == []


def test_an_id_stays_with_its_theme_however_long_it_goes_on():
    texts, truth = stream(3000)
    _, ids = learned(texts)
    for theme in THEMES:
        assert len({i for i, t in zip(ids[60:], truth[60:], strict=True) if t == theme}) == 1


def test_the_same_stream_and_seed_give_the_same_bytes_and_another_seed_may_not():
    texts, _ = stream(200)
    assert learned(texts)[0].dump() == learned(texts)[0].dump()


@pytest.mark.parametrize("cut", [40, 100])
def test_it_goes_on_from_its_bytes_as_if_nothing_had_been(cut):
    texts, _ = stream(200)
    whole, _ = learned(texts)
    before, _ = learned(texts[:cut])
    after = Clusters.load(before.dump(), SETTINGS)
    for at in range(cut, 200, 20):
        after.learn(texts[at : at + 20])
    assert after.dump() == whole.dump()


def test_categories_of_the_catalogue_name_their_clusters():
    texts, truth = stream(90)
    clusters = Clusters(DIMENSIONS, SETTINGS)
    for theme in THEMES:
        rows = [one.vector for one, t in zip(texts, truth, strict=True) if t == theme]
        clusters.seed(f"category {theme}", np.stack(rows))
    more, more_truth = stream(60, seed=2)
    clusters.learn(more)
    best = [clusters.topics(one.vector, "en")[0].name for one in more]
    assert best == [f"category {theme}" for theme in more_truth]


def test_a_theme_that_nobody_writes_about_makes_room_under_a_new_id():
    settings = ClusterSettings(clusters=2, warm_up=40, keep=1e-9, weight_min=0.5, novelty=0.6)
    old, _ = stream(40, themes=(0, 1))
    clusters, _ = learned(old, settings)
    before = {cluster.id for cluster in clusters.clusters}
    (home,) = set(clusters.assign(np.stack([one.vector for one in old[::2]])))
    for seed, themes in ((3, (0,)), (4, (0, 2))):
        later, _ = stream(400, seed=seed, themes=themes)
        for at in range(0, 400, 40):
            ids = clusters.learn(later[at : at + 40])
    assert set(ids[0::2]) == {home}
    assert len(set(ids[1::2])) == 1
    assert min(ids[1::2]) > max(before)


def test_words_are_bounded():
    settings = ClusterSettings(clusters=2, warm_up=10, words_max=5)
    texts, _ = stream(100)
    clusters, _ = learned(
        [one._replace(words=[f"w{at}", f"v{at}"]) for at, one in enumerate(texts)], settings
    )
    for cluster in clusters.clusters:
        assert all(len(words) <= 10 for words in cluster.words.values())


def test_bytes_that_are_no_clusters_are_refused():
    with pytest.raises(UnderstandingError, match="No clusters in these 3 bytes"):
        Clusters.load(b"abc")
