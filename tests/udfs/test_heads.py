"""Heads, prototypes, and what their probabilities mean; a fake encoder stands in for a model."""

import json

import numpy as np
import pytest

from udfs.analysis import CIRCUMPLEX, Feelings, Sentiment, Topics, valences
from udfs.errors import ModelError
from udfs.fake import HashEncoder
from udfs.handler import Embedded, Failure, Space, Text
from udfs.heads import META, WEIGHTS, Head, HeadMeta, load_head
from udfs.prototypes import Prototypes, descriptions
from udfs.settings import AnalysisSettings, analyses

SPACE = Space(model="hash", map_version="0", dimensions=2)


def meta(**changes):
    values = {
        "task": "sentiment", "version": 1, "labels": ["negative", "positive"], "model": "hash",
        "map_version": "0", "dimensions": 2, "data_hash": "0" * 32, "seed": 1, "texts_train": 8,
        "texts_test": 2, "accuracy": 1.0, "standard_error": 0.0, "majority": 0.5,
        "regularisation": 1.0,
    }  # fmt: skip
    return HeadMeta(**{**values, **changes})


def head(**changes):
    return Head(meta(**changes), np.array([[-2, 0], [2, 0]], "f4"), np.zeros(2, "f4"))


def embedded(*rows):
    return [Embedded(Text(text="x", language="en"), np.array(row, "f4")) for row in rows]


def test_a_head_comes_back_from_its_folder_as_it_was(tmp_path):
    head().save(tmp_path)
    newer = head(version=12, seed=7)
    newer.save(tmp_path)
    loaded = load_head(tmp_path, "sentiment")
    assert loaded.meta == newer.meta
    batch = embedded([1, 0], [0, 1])
    assert np.array_equal(loaded.classify(batch), newer.classify(batch))
    assert load_head(tmp_path, "sentiment", 1).meta.seed == 1
    assert load_head(tmp_path, "topics") is None


def test_sentiment_is_what_the_labels_are_worth():
    found = Sentiment(head())
    found.load()
    good, bad, neither = found.infer(embedded([1, 0], [-1, 0], [0, 1]))
    assert good == pytest.approx(np.tanh(2), abs=1e-4)
    assert bad == -good
    assert neither == 0
    assert found.infer([]) == []


@pytest.mark.parametrize(
    ("labels", "values"),
    [
        (["0", "1"], [-1, 1]),
        (["NEGATIVE", "neutral", "Positive"], [-1, 0, 1]),
        (["1 star", "2 stars", "3 stars", "4 stars", "5 stars"], [-1, -0.5, 0, 0.5, 1]),
        (["-1", "0", "1"], [-1, 0, 1]),
        (["负面", "正面"], [-1, 1]),
        (["LABEL_0", "LABEL_1"], [-1, 1]),
    ],
)
def test_labels_of_sentiment_are_words_or_a_known_scale(labels, values):
    assert valences(labels).tolist() == values


def test_labels_that_are_no_sentiment_are_refused():
    with pytest.raises(ModelError, match="cat, dog are no sentiment: legal are positive"):
        Sentiment(head(labels=["cat", "dog"])).load()
    with pytest.raises(ModelError, match="Unknown emotions love: legal are joy"):
        Feelings(head(labels=["joy", "love"])).load()


def test_a_head_of_another_space_is_refused_and_of_another_precision_is_not():
    head().check(SPACE)
    head().check(Space(model="hash", map_version="0", dimensions=2, precision="int8"))
    for other in (("other", "0", 2), ("hash", "1", 2), ("hash", "0", 3)):
        space = Space(model=other[0], map_version=other[1], dimensions=other[2])
        with pytest.raises(ModelError, match="was trained on vectors of hash/0"):
            head().check(space)


@pytest.mark.parametrize("damage", ["weights", "meta", "shape", "missing"])
def test_a_broken_head_says_which_folder(tmp_path, damage):
    folder = head().save(tmp_path)
    if damage == "weights":
        (folder / WEIGHTS).write_bytes(b"PK nothing")
    elif damage == "meta":
        (folder / META).write_text("{")
    elif damage == "shape":
        changed = json.loads((folder / META).read_text()) | {"dimensions": 3}
        (folder / META).write_text(json.dumps(changed))
    else:
        (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=r"sentiment.1|sentiment 1"):
        load_head(tmp_path, "sentiment")


def test_a_folder_or_version_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ModelError, match=r"No folder .*nowhere"):
        load_head(tmp_path / "nowhere", "sentiment")
    head().save(tmp_path)
    with pytest.raises(ModelError, match=r"No version 3 of sentiment .*there is \[1\]"):
        load_head(tmp_path, "sentiment", 3)


DESCRIBED = {
    "warm": {"en": ["sun beach summer"], "zh": ["太阳沙滩"]},
    "cold": {"en": ["snow ice winter"], "zh": ["冰雪寒冬"]},
}


def classify(*texts):
    encoder = HashEncoder()
    prototypes = Prototypes("topics", DESCRIBED, encoder, 0.1)
    topics = Topics(prototypes)
    topics.load()
    prepared = [Text(text=text, language=language) for text, language in texts]
    pairs = zip(prepared, encoder.infer(prepared), strict=True)
    return topics.infer([Embedded(*pair) for pair in pairs])


def test_a_text_belongs_to_the_label_it_is_nearest_to_in_its_own_language():
    texts = ("winter ice", "en"), ("太阳", "zh"), ("summer", "fr"), ("冰", "zh")
    best = [found[0].name for found in classify(*texts)]
    assert best == ["cold", "warm", "warm", "cold"]


def test_a_text_is_classified_the_same_alone_and_among_others():
    texts = [("winter ice", "en"), ("太阳", "zh"), ("summer", "fr")]
    assert classify(*texts) == [classify(text)[0] for text in texts]


@pytest.mark.parametrize("task", ["sentiment", "emotions", "topics"])
def test_the_descriptions_that_come_along_are_whole(task):
    described = descriptions(task)
    for languages in described.values():
        assert set(languages) == {"zh", "en"}
        assert all(len(sentences) >= 2 for sentences in languages.values())
    if task == "emotions":
        assert set(described) == set(CIRCUMPLEX)
    if task == "sentiment":
        assert valences(list(described)).tolist() == [1, -1]


@pytest.mark.parametrize(
    "content", ["", "[mood.a]\nen = ['x']", "[mood.a]\nen=['x']\n[mood.b]\nzh=['x']", "[mood", None]
)
def test_a_file_that_does_not_describe_a_task_is_refused(tmp_path, content):
    path = tmp_path / "own.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ModelError, match=r"own\.toml"):
        descriptions("mood", path)


def test_a_description_that_the_encoder_cannot_read_is_an_error():
    described = {"a": {"en": ["..."]}, "b": {"en": ["word"]}}
    with pytest.raises(ModelError, match="reads none of the en descriptions of mood"):
        Prototypes("mood", described, HashEncoder(), 0.1).load()


def test_tasks_can_be_left_out_and_take_a_head_where_one_is(tmp_path):
    wide = Head(meta(dimensions=64), np.zeros((2, 64), "f4"), np.zeros(2, "f4"))
    wide.save(tmp_path)
    settings = AnalysisSettings(heads=str(tmp_path), emotions="off", tags=False)
    made = analyses(settings, HashEncoder())
    assert list(made) == ["sentiment", "topics"]
    assert made["sentiment"].model == f"sentiment-head-1:{'0' * 8}"
    assert made["topics"].model.startswith("topics-prototypes:")


def test_a_failure_of_the_classifier_is_passed_on():
    class Broken:
        labels, model = ("negative", "positive"), "broken"

        def load(self):
            pass

        def classify(self, batch):
            return [Failure("in", "no")] * len(batch)

    sentiment, topics = Sentiment(Broken()), Topics(Broken())
    sentiment.load()
    assert (
        sentiment.infer(embedded([1, 0])) == topics.infer(embedded([1, 0])) == [Failure("in", "no")]
    )
