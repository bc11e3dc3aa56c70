"""`headwater provision`: topics and tables on services that run elsewhere."""

from typing import NamedTuple

from rich.console import Console

from deploy.preflight import check_kafka, on_cassandra
from deploy.stack import schema, topics
from deploy.stack.settings import HOST
from jobs import access
from jobs.settings import Cassandra, Kafka


class Node(NamedTuple):
    """A Cassandra node, HOST[:PORT], and how to get in."""

    address: str
    user: str
    tls_ca: str


def kafka(where: Kafka, replication: int) -> None:
    """Creates the topics; does nothing without an address.

    Raises:
        HeadwaterError: A file or a password is missing, or Kafka refused.
    """
    if not where.bootstrap:
        return
    check_kafka(where, [])
    console, wanted = Console(), topics.read_topics()
    created = topics.apply_topics(
        where.bootstrap,
        wanted,
        replication,
        warn=lambda text: console.print(text, markup=False),
        client=access.python_client(where),
    )
    console.print(f"Kafka {where.bootstrap}: {len(wanted)} topics, {len(created)} of them new")


def cassandra(node: Node, keyspace: str, dimensions: int, replication: str) -> None:
    """Creates the tables; does nothing without an address.

    Raises:
        HeadwaterError: A file or a password is missing, or Cassandra refused.
    """
    if not node.address:
        return
    host, _, port = node.address.partition(":")
    statements = schema.read_statements(keyspace, dimensions, replication)
    where = Cassandra(
        hosts=[host or HOST], port=int(port or 9042), user=node.user, tls_ca=node.tls_ca
    )
    on_cassandra(where, lambda session: schema.apply_schema(session, statements))
    Console().print(f"Cassandra {node.address}: keyspace {keyspace}, {len(statements)} statements")
