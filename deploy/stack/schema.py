"""Reads ``deploy/schema.cql`` and makes a Cassandra agree with it, as often as it is called."""

import contextlib
import re
import ssl
import string
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deploy.stack.errors import ServiceError, SettingsError
from deploy.stack.layout import PACKAGE
from deploy.stack.secrets import Login

SCHEMA_FILE = PACKAGE.parent / "schema.cql"
SINGLE_NODE = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
TIMEOUT_S = 30.0


def read_statements(
    keyspace: str = "headwater",
    dimensions: int = 384,
    replication: str = SINGLE_NODE,
    path: Path = SCHEMA_FILE,
) -> list[str]:
    """The statements of the schema, filled in, without comments, in order.

    Args:
        keyspace: Name of the keyspace.
        dimensions: Length of an item's vector.
        replication: CQL map, such as ``{'class': 'NetworkTopologyStrategy', 'eu': 3}``.
        path: The schema file.

    Raises:
        SettingsError: The keyspace's name or the replication is not plain CQL.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,47}", keyspace):
        msg = f"keyspace {keyspace!r} is not legal: a-z, 0-9 and _, at most 48, first a letter"
        raise SettingsError(msg)
    if not re.fullmatch(r"\{[^{};]+\}", replication):
        msg = f"replication {replication!r} is not a CQL map: write it like {SINGLE_NODE}"
        raise SettingsError(msg)
    text = re.sub(r"--.*", "", path.read_text("utf-8"))
    filled = string.Template(text).substitute(
        keyspace=keyspace, dimensions=dimensions, replication=replication
    )
    return [statement.strip() for statement in filled.split(";") if statement.strip()]


@contextlib.contextmanager
def connected(
    hosts: Sequence[str],
    port: int,
    username: str | None = None,
    password: str | None = None,
    tls_ca: str = "",
) -> Iterator[Any]:
    """A driver session on the given node, closed at the end."""
    from cassandra.auth import PlainTextAuthProvider
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
    from cassandra.policies import ConstantReconnectionPolicy, RoundRobinPolicy

    profile = ExecutionProfile(RoundRobinPolicy(), request_timeout=TIMEOUT_S)
    cluster = Cluster(
        list(hosts),
        port=port,
        protocol_version=5,
        auth_provider=PlainTextAuthProvider(username, password or "") if username else None,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        ssl_context=ssl.create_default_context(cafile=tls_ca) if tls_ca else None,
        connect_timeout=TIMEOUT_S,
        reconnection_policy=ConstantReconnectionPolicy(1.0, None),
    )
    try:
        yield cluster.connect()
    finally:
        cluster.shutdown()


def session_of(
    login: Login | None, hosts: Sequence[str], port: int
) -> contextlib.AbstractContextManager[Any]:
    """A session of one who logs in, or of anybody."""
    if login is None:
        return connected(hosts, port)
    return connected(hosts, port, login.user, login.password, str(login.tls_ca))


def apply_schema(session: Any, statements: Sequence[str]) -> None:
    """Runs the statements, which change nothing where the schema is already there.

    Raises:
        ServiceError: Cassandra refused a statement; the message quotes its first line.
    """
    from cassandra import DriverException
    from cassandra.protocol import ErrorMessage

    for statement in statements:
        try:
            session.execute(statement)
        except (DriverException, ErrorMessage) as error:
            told = re.sub("PASSWORD = '.*'", "PASSWORD = …", statement.splitlines()[0])
            msg = f"Cassandra refused `{told}`: {error}"
            raise ServiceError(msg) from error


def vector_dimensions(session: Any, keyspace: str) -> int | None:
    """Length of the vectors of the existing table, ``None`` if there is none."""
    row = session.execute(
        "SELECT type FROM system_schema.columns WHERE keyspace_name = %s "
        "AND table_name = 'item_features' AND column_name = 'vector'",
        (keyspace,),
    ).one()
    match = re.search(r"(\d+)>?$", row.type) if row else None
    return int(match[1]) if match else None
