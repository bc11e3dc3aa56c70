"""The writer of rows on the real Cassandra."""

import socket

import msgspec
import pytest

import tests.quiet  # noqa: F401
from deploy.stack import Stack
from jobs.recommend import sink_settings
from jobs.settings import Recommend
from operators.flink.cassandra import connect

pytestmark = pytest.mark.stack


def test_it_waits_for_no_acknowledgement_before_it_sends_the_rest_of_a_batch(stack: Stack) -> None:
    settings = sink_settings(Recommend())
    where = {"hosts": stack.cassandra_hosts, "port": stack.cassandra_port}
    session = connect(msgspec.structs.replace(settings, **where))
    try:
        (pool,) = session.get_pools()
        for connection in pool.get_connections():
            assert connection._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finally:
        session.cluster.shutdown()
