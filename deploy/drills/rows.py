"""What the job wrote for a tenant, as plain values: to be compared row by row."""

from collections.abc import Mapping
from typing import Any

TABLES = {
    "recommendations": ("user_id", "surface", "items", "generation", "as_of", "fallback", "seen"),
    "similar_items": ("item_id", "items", "as_of"),
    "trending": ("segment", "items", "as_of"),
    "profiles": ("user_id", "counts", "recent", "as_of"),
    "item_features": ("item_id", "title", "available", "as_of"),
}
"""By table, the columns that are compared; the first ones name the row."""

KEYS = {"recommendations": 2}
"""How many columns name a row; one elsewhere."""

Rows = dict[tuple[str, ...], tuple[str, ...]]
"""The values of each row by its table and key, written out."""


def read_rows(session: Any, keyspace: str, tenant: str) -> Rows:
    """Every row of a tenant."""
    found: Rows = {}
    for table, columns in TABLES.items():
        cql = f"SELECT tenant, {', '.join(columns)} FROM {keyspace}.{table}"
        for row in session.execute(cql):
            if row.tenant == tenant:
                keys = KEYS.get(table, 1)
                values = [repr(getattr(row, column)) for column in columns]
                found[table, *values[:keys]] = tuple(values[keys:])
    return found


def differences(wanted: Rows, got: Rows) -> list[str]:
    """The rows that are not equal, each with what differs; empty if all are."""
    told = []
    for key in sorted(wanted.keys() | got.keys()):
        where = " ".join(key)
        if key not in got:
            told.append(f"{where} is missing")
        elif key not in wanted:
            told.append(f"{where} should not be there")
        elif wanted[key] != got[key]:
            columns = TABLES[key[0]][KEYS.get(key[0], 1) :]
            names = [
                name
                for name, one, other in zip(columns, wanted[key], got[key], strict=True)
                if one != other
            ]
            told.append(f"{where} differs in {', '.join(names)}")
    return told


def miscounted(
    expected: Mapping[str, Mapping[str, int]], got: Mapping[str, Mapping[str, int]]
) -> list[str]:
    """Users whose profile does not count what was sent; empty if all do."""
    return [
        f"{user}: sent {dict(expected.get(user, {}))}, counted {dict(got.get(user, {}))}"
        for user in sorted(expected.keys() | got.keys())
        if dict(expected.get(user, {})) != dict(got.get(user, {}))
    ]


def profile_counts(session: Any, keyspace: str, tenant: str) -> dict[str, dict[str, int]]:
    """Actions by kind of every user of a tenant."""
    rows = session.execute(f"SELECT tenant, user_id, counts FROM {keyspace}.profiles")
    return {row.user_id: dict(row.counts or {}) for row in rows if row.tenant == tenant}
