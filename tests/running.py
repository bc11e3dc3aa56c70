"""What runs in a stack, and what its Cassandra holds."""

from typing import Any

from deploy.stack import Stack, processes
from deploy.stack.processes import Stat


def pids(stack: Stack) -> dict[str, int]:
    """Process of each service."""
    return {use.service: use.pid for use in stack.processes()}


def all_members(stack: Stack) -> list[Stat]:
    """Every process that a service has started, itself included."""
    records = processes.load(stack.layout.run).values()
    return [stat for record in records for stat in processes.members(record)]


def table_names(session: Any) -> set[str]:
    """Tables of the keyspace."""
    rows = session.execute(
        "SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'headwater'"
    )
    return {row.table_name for row in rows}
