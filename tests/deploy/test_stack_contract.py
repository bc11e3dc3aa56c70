"""Topics and tables are those of the wire contract."""

import re
from pathlib import Path

import pytest

from deploy.stack import schema, topics
from deploy.stack.errors import SettingsError

TEN_MB = 10 * 2**20

COLUMNS = {
    "recommendations": {
        "tenant": "text",
        "user_id": "text",
        "surface": "text",
        "items": "frozen<list<frozen<recommended_item>>>",
        "generation": "bigint",
        "as_of": "timestamp",
        "model": "text",
        "variant": "text",
        "fallback": "text",
        "seen": "blob",
    },
    "similar_items": {
        "tenant": "text",
        "item_id": "text",
        "items": "frozen<list<frozen<recommended_item>>>",
        "as_of": "timestamp",
        "model": "text",
    },
    "trending": {
        "tenant": "text",
        "segment": "text",
        "items": "frozen<list<frozen<recommended_item>>>",
        "as_of": "timestamp",
    },
    "profiles": {
        "tenant": "text",
        "user_id": "text",
        "interests": "frozen<list<frozen<interest>>>",
        "tags": "frozen<list<frozen<weighted_tag>>>",
        "mood": "frozen<map<text, float>>",
        "counts": "frozen<map<text, bigint>>",
        "recent": "frozen<list<text>>",
        "as_of": "timestamp",
    },
    "item_features": {
        "tenant": "text",
        "item_id": "text",
        "title": "text",
        "vector": "vector<float, 384>",
        "topics": "frozen<list<frozen<weighted_tag>>>",
        "tags": "frozen<list<frozen<weighted_tag>>>",
        "language": "text",
        "available": "boolean",
        "model": "text",
        "as_of": "timestamp",
    },
}
KEYS = {
    "recommendations": "(tenant, user_id), surface",
    "similar_items": "(tenant, item_id)",
    "trending": "(tenant, segment)",
    "profiles": "(tenant, user_id)",
    "item_features": "(tenant, item_id)",
}


def by_name() -> dict[str, topics.Topic]:
    return {topic.name: topic for topic in topics.read_topics()}


def create_statement(table: str) -> str:
    return next(s for s in schema.read_statements() if f"headwater.{table} (" in s)


def test_the_topics_are_those_of_the_contract() -> None:
    assert set(by_name()) == {
        "headwater.events",
        "headwater.items",
        "headwater.item-features",
        "headwater.text-signals",
        "headwater.dead-letters",
        "headwater.outcomes",
        "headwater.strategy",
    }


def test_tables_of_keys_are_compacted_and_streams_expire() -> None:
    compacted = {n for n, t in by_name().items() if t.config.get("cleanup.policy") == "compact"}
    expiring = {n for n, t in by_name().items() if "retention.ms" in t.config}
    assert compacted == {"headwater.items", "headwater.item-features", "headwater.strategy"}
    assert expiring == set(by_name()) - compacted


def test_an_oversized_record_fits_the_topics_it_passes() -> None:
    limits = {name: int(t.config.get("max.message.bytes", 0)) for name, t in by_name().items()}
    assert limits["headwater.events"] > TEN_MB
    assert limits["headwater.items"] > TEN_MB
    assert limits["headwater.dead-letters"] > TEN_MB * 4 / 3


def test_retention_counts_from_arrival_so_that_old_data_can_be_replayed() -> None:
    types = {topic.config["message.timestamp.type"] for topic in by_name().values()}
    assert types == {"LogAppendTime"}


def test_the_setting_changes_the_partitions_of_events_alone() -> None:
    before = {topic.name: topic.partitions for topic in topics.read_topics()}
    after = {topic.name: topic.partitions for topic in topics.read_topics(event_partitions=12)}
    assert before["headwater.events"] == 4
    assert after == {**before, "headwater.events": 12}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[topic.a]\npartitions = 1", "unknown table .*topic"),
        ("[topics.a]\ncompacted = true", "partitions = None"),
        ("[topics.a]\npartitions = 0", "partitions = 0"),
        ("[topics.a]\npartitions = true", "partitions = True"),
        ("[topics.a]\npartitions = 1\nretention = 5", "unknown keys .*retention"),
    ],
)
def test_a_topics_file_with_a_mistake_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "topics.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=complaint):
        topics.read_topics(file)


@pytest.mark.parametrize("table", COLUMNS)
def test_a_table_has_exactly_the_columns_of_the_contract(table: str) -> None:
    statement = create_statement(table)
    columns = dict(re.findall(r"^    ([a-z_]+) (.+?),?\s*$", statement, re.M))
    assert columns == COLUMNS[table]
    assert f"PRIMARY KEY ({KEYS[table]})" in statement
    assert "UnifiedCompactionStrategy" in statement


def test_lists_expire_by_themselves_and_item_features_do_not() -> None:
    for table in COLUMNS.keys() - {"item_features"}:
        assert "default_time_to_live = 2592000" in create_statement(table)
    assert "time_to_live" not in create_statement("item_features")


def test_a_recommended_item_has_the_fields_of_the_contract_in_order() -> None:
    statement = next(s for s in schema.read_statements() if "recommended_item (" in s)
    assert re.findall(r"^    ([a-z_]+) ([a-z]+)", statement, re.M) == [
        ("item_id", "text"),
        ("score", "float"),
        ("item_score", "float"),
        ("source", "text"),
        ("seed", "text"),
        ("reason", "text"),
        ("propensity", "float"),
    ]


def test_every_statement_may_be_run_again() -> None:
    statements = schema.read_statements()
    assert len(statements) == 10
    assert all(" IF NOT EXISTS " in statement for statement in statements)
    assert not any("--" in statement or "$" in statement for statement in statements)


def test_keyspace_dimensions_and_replication_are_filled_in() -> None:
    replication = "{'class': 'NetworkTopologyStrategy', 'eu': 3}"
    text = ";".join(schema.read_statements("shop", 768, replication))
    assert f"CREATE KEYSPACE IF NOT EXISTS shop WITH replication = {replication}" in text
    assert "vector<float, 768>" in text
    assert "headwater" not in text


@pytest.mark.parametrize("keyspace", ["", "Shop", "1shop", "a" * 49, "shop; DROP KEYSPACE x"])
def test_a_keyspace_that_is_no_plain_name_is_refused(keyspace: str) -> None:
    with pytest.raises(SettingsError, match="keyspace"):
        schema.read_statements(keyspace)


@pytest.mark.parametrize("replication", ["", "3", "{'class': 'X'}; DROP KEYSPACE x"])
def test_a_replication_that_is_no_map_is_refused(replication: str) -> None:
    with pytest.raises(SettingsError, match="replication"):
        schema.read_statements(replication=replication)
