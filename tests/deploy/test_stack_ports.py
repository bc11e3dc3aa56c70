"""Whose port it is."""

import os
import socket
from collections.abc import Iterator

import pytest

from deploy.stack.errors import PortTakenError
from deploy.stack.ports import is_free, owner_of, require_free
from deploy.stack.settings import PortUse


@pytest.fixture(params=["127.0.0.1", "0.0.0.0"])
def taken(request: pytest.FixtureRequest) -> Iterator[int]:
    with socket.socket() as server:
        server.bind((request.param, 0))
        server.listen(1)
        yield server.getsockname()[1]


def test_a_port_is_taken_while_somebody_listens_and_free_afterwards() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_a_connection_that_has_just_closed_does_not_hold_the_port() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()
    assert is_free(port)


def test_the_owner_is_the_listening_process(taken: int) -> None:
    owner = owner_of(taken)
    assert owner is not None
    assert owner.pid == os.getpid()
    assert "pytest" in owner.command
    assert owner.stack == ""


def test_a_free_port_has_no_owner() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        assert owner_of(server.getsockname()[1]) is None


def test_a_taken_port_is_reported_with_process_setting_and_variable(taken: int) -> None:
    with pytest.raises(PortTakenError) as caught:
        require_free([PortUse("kafka", "kafka_port", taken)])
    text = str(caught.value)
    assert f"port {taken} for kafka is taken by process {os.getpid()} (" in text
    assert "set kafka_port in [stack]" in text
    assert "HEADWATER_STACK_KAFKA_PORT" in text


def test_every_taken_port_is_reported_and_free_ones_are_not(taken: int) -> None:
    with socket.socket() as spare:
        spare.bind(("127.0.0.1", 0))
        free = spare.getsockname()[1]
    uses = [
        PortUse("kafka", "kafka_port", taken),
        PortUse("cassandra", "cassandra_port", free),
        PortUse("jobmanager", "flink_rest_port", taken),
    ]
    with pytest.raises(PortTakenError) as caught:
        require_free(uses)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert "flink_rest_port" in lines[1]
    require_free([uses[1]])
