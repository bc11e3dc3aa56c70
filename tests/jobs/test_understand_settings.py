"""The table [understand] of the settings file, and what is looked at before a submission."""

import msgspec
import pytest

from jobs.kinds import kind_of
from jobs.reading import check_model, travelling_client, use_of_own_topics
from jobs.settings import SettingsError, load
from jobs.understand_settings import Understand
from udfs.errors import ModelError


def test_a_job_has_settings_of_its_own():
    assert kind_of("understand") is Understand


def test_it_reads_its_own_table_and_overrides(tmp_path):
    file = tmp_path / "headwater.toml"
    file.write_text(
        "[recommend]\nbuckets = 4\n[understand]\nwithout_model = 'degrade'\n"
        "[understand.encoder]\nmodel = '/models/e5'\nprecision = 'int8'\n"
    )
    got = load(Understand, file, ["catalogue.neighbours=5", "kafka.item_features=f"])
    assert (got.encoder.model, got.encoder.precision) == ("/models/e5", "int8")
    assert (got.catalogue.neighbours, got.kafka.item_features, got.buckets) == (5, "f", 16)
    assert (got.kafka.group, got.cassandra.concurrency) == ("headwater-understand", 2)


@pytest.mark.parametrize(
    ("override", "hint"),
    [("encoder.modle=x", "model"), ("catalog=1", "catalogue"), ("analysis.head=x", "heads"),
     ("catalogue.neighbour=1", "neighbours"), ("kafka.item_feature=x", "item_features")],
)  # fmt: skip
def test_an_unknown_key_is_refused_with_the_nearest_one(override, hint):
    with pytest.raises(SettingsError, match=f"did you mean `{hint}`"):
        load(Understand, None, [override])


def test_a_model_that_is_not_there_is_refused_unless_it_may_be_missing():
    with pytest.raises(ModelError, match="no such folder"):
        check_model(load(Understand, None, ["encoder.model=./nowhere"]))
    check_model(load(Understand, None, ["encoder.model=./nowhere", "without_model=degrade"]))


def test_own_topics_stand_in_where_nobody_said_what_topics_there_are(tmp_path):
    (tmp_path / "heads" / "sentiment" / "1").mkdir(parents=True)
    heads = f"analysis.heads={tmp_path / 'heads'}"

    def use(*overrides):
        return use_of_own_topics(load(Understand, None, overrides))

    assert use() == use(heads) == use("analysis.sentiment=off") == "instead"
    (tmp_path / "heads" / "topics" / "1").mkdir(parents=True)
    assert use(heads) == use("analysis.heads=/of/the/worker") == "off"
    assert use("analysis.topics=some/model") == use("analysis.topics=off") == "off"
    assert use("analysis.prototypes=own.toml") == "off"
    assert use(heads, "own_topics=beside") == "beside"
    assert use("own_topics=off") == "off"


def test_clusters_that_cannot_be_are_refused():
    with pytest.raises(SettingsError, match=r"clusters 1 lies in 2 to 256"):
        load(Understand, None, ["clusters.clusters=1"])


def test_a_password_in_a_file_does_not_travel(tmp_path, monkeypatch):
    kafka = Understand().kafka
    assert travelling_client(kafka) == {"bootstrap.servers": kafka.bootstrap}
    secret = tmp_path / "password"
    secret.write_text("hush")
    named = msgspec.structs.replace(kafka, user="understand", password_file=str(secret))
    assert travelling_client(named) is None
