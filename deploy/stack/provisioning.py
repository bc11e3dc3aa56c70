"""`headwater provision`: topics and tables on services that run elsewhere."""

from typing import NamedTuple

from rich.console import Console

from deploy.stack import schema, topics
from deploy.stack.settings import HOST
from jobs import access
from jobs.settings import Cassandra, Kafka


class Node(NamedTuple):
    """A Cassandra node, HOST[:PORT], and how to get in."""

    address: str
    user: str
    tls_ca: str


def kafka(bootstrap: str, replication: int, user: str, tls_ca: str) -> None:
    """Creates the topics; does nothing without an address.

    Raises:
        HeadwaterError: A file or a password is missing, or Kafka refused.
    """
    if not bootstrap:
        return
    console, wanted = Console(), topics.read_topics()
    client = access.python_client(Kafka(bootstrap=bootstrap, user=user, tls_ca=tls_ca))
    created = topics.apply_topics(
        bootstrap,
        wanted,
        replication,
        warn=lambda text: console.print(text, markup=False),
        client=client,
    )
    console.print(f"Kafka {bootstrap}: {len(wanted)} topics, {len(created)} of them new")


def cassandra(node: Node, keyspace: str, dimensions: int, replication: str) -> None:
    """Creates the tables; does nothing without an address.

    Raises:
        HeadwaterError: A file or a password is missing, or Cassandra refused.
    """
    if not node.address:
        return
    host, _, port = node.address.partition(":")
    statements = schema.read_statements(keyspace, dimensions, replication)
    login = Cassandra(user=node.user, tls_ca=node.tls_ca)
    password = access.cassandra_password(login) if login.user else None
    ca = access.readable(login.tls_ca, "--tls-ca") if login.tls_ca else ""
    where = [host or HOST], int(port or 9042)
    with schema.connected(*where, login.user or None, password, ca) as session:
        schema.apply_schema(session, statements)
    Console().print(f"Cassandra {node.address}: keyspace {keyspace}, {len(statements)} statements")
