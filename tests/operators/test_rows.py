"""The bytes of every write against the driver's own encoding, by the types of schema.cql."""

import re
from pathlib import Path
from struct import pack

import pytest
from cassandra import cqltypes
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.messages import SOURCES
from operators.results import ForgetRow, ItemRow, ListRow, ProfileRow, SimilarRow, TrendingRow
from operators.rows import STATEMENTS, RowSettings, Write, writes_of

PROTOCOL = 5
SCHEMA = (Path(__file__).parents[2] / "deploy" / "schema.cql").read_text("utf-8")
SCHEMA = re.sub(r"--.*", "", SCHEMA)
PLAIN = {
    "text": cqltypes.UTF8Type, "float": cqltypes.FloatType, "bigint": cqltypes.LongType,
    "timestamp": cqltypes.DateType, "blob": cqltypes.BytesType, "boolean": cqltypes.BooleanType,
    "int": cqltypes.Int32Type,
}  # fmt: skip
SETTINGS = RowSettings(surface="home", model="m-7", variant="b", ttl_s=3600)
TIME_US = 1_700_000_000_123_456
TIME_MS = 1_700_000_000_123


def columns_of(kind: str, name: str) -> dict[str, str]:
    """Columns and CQL types of a table, or fields of a type, in the order of schema.cql."""
    body = re.search(rf"CREATE {kind} IF NOT EXISTS \S+\.{name} \((.*?)\n\)", SCHEMA, re.S)[1]
    body = re.sub(r"PRIMARY KEY.*", "", body)
    return dict(re.findall(r"^ *(\w+) ([\w<>, ]+?),?\s*$", body, re.M))


def driver_type(cql: str):
    """The driver's class of a CQL type."""
    if cql in PLAIN:
        return PLAIN[cql]
    head, _, inner = cql.partition("<")
    if not inner:
        fields = columns_of("TYPE", cql)
        types = [driver_type(one) for one in fields.values()]
        return cqltypes.UserType.make_udt_class("headwater", cql, tuple(fields), types)
    inner = inner.removesuffix(">")
    if head == "frozen":
        return driver_type(inner)
    if head == "list":
        return cqltypes.ListType.apply_parameters([driver_type(inner)])
    key, value = inner.split(", ")
    return cqltypes.MapType.apply_parameters([driver_type(key), driver_type(value)])


def bound(statement: str) -> tuple[str, list[str]]:
    """Table, and what each `?` of a statement stands for, in the order of the text."""
    cql = STATEMENTS[statement]
    table = re.search(r"\{keyspace\}\.(\w+)", cql)[1]
    names = re.findall(r"(TIMESTAMP|TTL|\w+ =) \?", cql)
    if cql.startswith("INSERT"):
        columns, marks = re.search(r"\(([\w, ]+)\) VALUES \(([?, ]+)\)", cql).groups()
        assert marks.count("?") == columns.count(",") + 1
        names = [*columns.split(", "), *names]
    assert len(names) == cql.count("?")
    return table, [name.removesuffix(" =") for name in names]


def encoded(statement: str, values: dict) -> Write:
    """What the driver would send for these Python values."""
    table, names = bound(statement)
    types = {**columns_of("TABLE", table), "TIMESTAMP": "bigint", "TTL": "int"}
    assert values.keys() == set(names)
    return Write(
        statement,
        [
            None if values[name] is None else driver_type(types[name]).to_binary(values[name], 5)
            for name in names
        ],
    )


def floats(*values: float) -> bytes:
    return pack(f"<{len(values)}f", *values)


LIST = ListRow(
    TIME_US, "shop", "u1", ["i1", "i2", "Ünïcode 电影"], floats(4, 0.1, -1.5),
    floats(0.5, -0.25, 1e-9), bytes([0, 2, 0]), bytes([1, 255, 0]),
    [("i7", "Heat"), ("i8", "Amélie 😀")], 12, "", b"\x00\xff\x10",
)  # fmt: skip
STAMP = {"TIMESTAMP": TIME_US, "TTL": 3600}
F = cqltypes.FloatType


def f4(value: float) -> float:
    return F.from_binary(F.to_binary(value, 5), 5)


def item(*fields):
    return (fields[0], f4(fields[1]), f4(fields[2]), *fields[3:], 1.0)


CASES = [
    (
        ListRow(
            TIME_US, "shop", "u1", ["i1", "i2", "i3"], floats(3, 2, 1), floats(0, 0, 0),
            bytes([1, 3, 0]), bytes([0, 255, 0]), [("i7", "Heat")], 12, "", b"", "feed",
            "interests", bytes([0, 1, 255]), ["Similar to Heat", "New here"], floats(1, 0.25, 1),
        ),
        {
            "list": {
                "tenant": "shop", "user_id": "u1", "surface": "feed",
                "items": [
                    item("i1", 3, 0, "content", "i7", "Similar to Heat"),
                    (*item("i2", 2, 0, "fresh", None, "New here")[:-1], 0.25),
                    item("i3", 1, 0, "co_occurrence", "i7", "Because of Heat"),
                ],
                "generation": 12, "as_of": TIME_MS, "model": "m-7+interests", "variant": "b",
                "fallback": None, "seen": b"", **STAMP,
            }
        },
    ),
    (
        LIST,
        {
            "list": {
                "tenant": "shop", "user_id": "u1", "surface": "home",
                "items": [
                    item("i1", 4, 0.5, "co_occurrence", "i8", "Because of Amélie 😀"),
                    item("i2", 0.1, -0.25, "trending", None, "Popular right now"),
                    item("Ünïcode 电影", -1.5, 1e-9, "co_occurrence", "i7", "Because of Heat"),
                ],
                "generation": 12, "as_of": TIME_MS, "model": "m-7", "variant": "b",
                "fallback": None, "seen": b"\x00\xff\x10", **STAMP,
            }
        },
    ),
    (
        ListRow(0, "default", "u", ["i"], floats(1), floats(0), b"\x00", b"\xff", [], 1,
                "nothing yet", b""),
        {
            "list": {
                "tenant": "default", "user_id": "u", "surface": "home",
                "items": [
                    item("i", 1, 0, "co_occurrence", None, "Goes with what you liked before"),
                ],
                "generation": 1, "as_of": 0, "model": "m-7", "variant": "b",
                "fallback": "nothing yet", "seen": b"", "TIMESTAMP": 0, "TTL": 3600,
            }
        },
    ),
    (
        ListRow(TIME_US, "t", "u", [], b"", b"", b"", b"", [], 2**40, "off", b""),
        {
            "list": {
                "tenant": "t", "user_id": "u", "surface": "home", "items": [],
                "generation": 2**40, "as_of": TIME_MS, "model": "m-7", "variant": "b",
                "fallback": "off", "seen": b"", **STAMP,
            }
        },
    ),
    (
        SimilarRow(TIME_US, "t", "i1", "Heat", ["i2", "i3"], floats(0.75, 0.1)),
        {
            "similar": {
                "tenant": "t", "item_id": "i1", "as_of": TIME_MS, "model": "m-7",
                "items": [
                    item("i2", 0.75, 0, "co_occurrence", "i1",
                         "People who chose Heat chose this too"),
                    item("i3", 0.1, 0, "co_occurrence", "i1",
                         "People who chose Heat chose this too"),
                ],
                **STAMP,
            }
        },
    ),
    (
        SimilarRow(TIME_US, "t", "i1", "", [], b""),
        {
            "similar": {
                "tenant": "t", "item_id": "i1", "as_of": TIME_MS, "model": "m-7", "items": [],
                **STAMP,
            }
        },
    ),
    (
        TrendingRow(TIME_US, "t", "category:Ö", ["i2"], floats(2), floats(1.5), "Popular in Ö"),
        {
            "trending": {
                "tenant": "t", "segment": "category:Ö", "as_of": TIME_MS,
                "items": [item("i2", 2, 1.5, "trending", None, "Popular in Ö")], **STAMP,
            }
        },
    ),
    (
        TrendingRow(TIME_US, "t", "all", [], b"", b"", "x"),
        {
            "trending": {
                "tenant": "t", "segment": "all", "as_of": TIME_MS, "items": [], **STAMP,
            }
        },
    ),
    (
        ProfileRow(
            TIME_US, "t", "ü", {"view": 3, "click": 2**33}, ["i2", "电"],
            [("heist, 电", 0.75, "i2"), ("sea", 0.25, "i3")],
            [("heist", 1.5, -0.5), ("电", 0.5, None)], {"sadness": 0.25, "joy": 1.0},
        ),
        {
            "profile": {
                "tenant": "t", "user_id": "ü", "counts": {"click": 2**33, "view": 3},
                "interests": [("heist, 电", 0.75, "i2"), ("sea", 0.25, "i3")],
                "tags": [("heist", 1.5, -0.5), ("电", 0.5, None)],
                "mood": {"joy": 1.0, "sadness": 0.25},
                "recent": ["i2", "电"], "as_of": TIME_MS, **STAMP,
            }
        },
    ),
    (
        ProfileRow(TIME_US, "t", "u", {}, []),
        {
            "profile": {
                "tenant": "t", "user_id": "u", "counts": {}, "recent": [], "as_of": TIME_MS,
                "interests": [], "tags": [], "mood": {}, **STAMP,
            }
        },
    ),
    (
        ForgetRow(TIME_US, "t", "u"),
        {
            "list_gone": {"TIMESTAMP": TIME_US, "tenant": "t", "user_id": "u"},
            "profile_gone": {"TIMESTAMP": TIME_US, "tenant": "t", "user_id": "u"},
        },
    ),
    (
        ItemRow(TIME_US, "t", "i", "Heat", True, False),
        {
            "item": {"tenant": "t", "item_id": "i", "title": "Heat", "available": True,
                     "as_of": TIME_MS, "TIMESTAMP": TIME_US},
        },
    ),
    (
        ItemRow(TIME_US, "t", "i", "", False, False),
        {
            "item": {"tenant": "t", "item_id": "i", "title": "", "available": False,
                     "as_of": TIME_MS, "TIMESTAMP": TIME_US},
        },
    ),
    (
        ItemRow(TIME_US, "t", "i", "Heat", False, True),
        {
            "item_gone": {"TIMESTAMP": TIME_US, "tenant": "t", "item_id": "i"},
            "item_similar_gone": {"TIMESTAMP": TIME_US, "tenant": "t", "item_id": "i"},
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "writes"), CASES, ids=[f"{type(row).__name__}-{n}" for n, (row, _) in enumerate(CASES)]
)
def test_the_bytes_of_a_row_are_those_of_the_driver(row, writes):
    expected = [encoded(statement, values) for statement, values in writes.items()]
    assert list(writes_of(row, SETTINGS)) == expected


def test_every_statement_has_a_case():
    assert {statement for _, writes in CASES for statement in writes} == set(STATEMENTS)


def primary_key(table: str) -> tuple[set[str], set[str]]:
    """Partition columns and all columns of a table's key."""
    body = SCHEMA[SCHEMA.index(f".{table} (") :]
    partition, rest = re.search(r"PRIMARY KEY \(\(([\w, ]+)\)([\w, ]*)\)", body).groups()
    parts = set(partition.split(", "))
    return parts, parts | set(re.findall(r"\w+", rest))


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_names_its_key_and_only_columns_there_are(statement):
    table, names = bound(statement)
    partition, key = primary_key(table)
    plain = set(names) - {"TIMESTAMP", "TTL"}
    assert plain <= set(columns_of("TABLE", table))
    assert plain == partition if "gone" in statement else plain >= key
    assert "TIMESTAMP" in names
    assert "{" not in STATEMENTS[statement].format(keyspace="k")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
F4 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def list_rows(draw):
    ids = draw(st.lists(TEXTS, max_size=60))
    size = len(ids)
    seeds = draw(st.lists(st.tuples(TEXTS, TEXTS), max_size=5))
    places = st.sampled_from([*range(len(seeds)), 255])
    return ListRow(
        draw(st.integers(0, 2**53)), draw(TEXTS), draw(TEXTS), ids,
        floats(*draw(st.lists(F4, min_size=size, max_size=size))),
        floats(*draw(st.lists(F4, min_size=size, max_size=size))),
        bytes(draw(st.lists(st.sampled_from([0, 2]), min_size=size, max_size=size))),
        bytes(draw(st.lists(places, min_size=size, max_size=size))), seeds,
        draw(st.integers(0, 2**62)), draw(TEXTS), draw(st.binary(max_size=64)),
    )  # fmt: skip


@given(list_rows())
@settings(max_examples=60, deadline=None)
def test_the_driver_reads_back_from_the_bytes_what_the_row_says(row):
    (write,) = writes_of(row, SETTINGS)
    types = {**columns_of("TABLE", "recommendations"), "TIMESTAMP": "bigint", "TTL": "int"}
    names = bound("list")[1]
    read = {
        name: None if value is None else driver_type(types[name]).from_binary(value, PROTOCOL)
        for name, value in zip(names, write.values, strict=True)
    }
    assert [one.item_id for one in read["items"]] == row.ids
    assert floats(*(one.score for one in read["items"])) == row.scores
    assert floats(*(one.item_score for one in read["items"])) == row.item_scores
    assert [SOURCES.index(one.source) for one in read["items"]] == list(row.sources)
    for one, seed in zip(read["items"], row.seeds, strict=True):
        known, title = row.seed_items[seed] if seed < 255 else (None, None)
        assert one.seed == known
        assert one.reason.startswith(f"Because of {title}" if seed < 255 else ("Goes", "Popular"))
        assert one.propensity == 1.0
    assert read["fallback"] == (row.fallback or None)
    assert (read["seen"], read["generation"]) == (row.known, row.generation)
    assert (read["tenant"], read["user_id"]) == (row.tenant, row.user)
    assert (read["TIMESTAMP"], read["TTL"]) == (row.written_us, 3600)
