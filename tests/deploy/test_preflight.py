"""What keeps a job from running is told before anything is done, with the setting to look at."""

import contextlib
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import cli, preflight
from deploy.errors import HeadwaterError
from deploy.preflight import check_cassandra, check_kafka
from deploy.stack import schema
from jobs.settings import Cassandra, Kafka

CERTIFICATES = Path(__file__).parent / "certificates"
AUTHORITY = str(CERTIFICATES / "authority.pem")
"""Valid for a century; `expired.pem` is a server's certificate of 2020, signed by it, with its key
of no other use."""


@contextlib.contextmanager
def server(certificate: Path | None) -> Iterator[int]:
    """A port where somebody speaks TLS with a certificate, or hangs up at once."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)
    stopped = threading.Event()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if certificate is not None:
        context.load_cert_chain(certificate)

    def work() -> None:
        while not stopped.is_set():
            with contextlib.suppress(OSError):
                client, _ = listener.accept()
                client.settimeout(2)
                with contextlib.suppress(OSError), client:
                    if certificate is not None:
                        context.wrap_socket(client, server_side=True).recv(1)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stopped.set()
        thread.join()
        listener.close()


def kafka(port: int, **changes: str) -> Kafka:
    return Kafka(bootstrap=f"127.0.0.1:{port}", **changes)


def cassandra(port: int, **changes: str) -> Cassandra:
    return Cassandra(hosts=["127.0.0.1"], port=port, **changes)


def test_an_expired_certificate_is_told_from_one_of_another_authority() -> None:
    told = r"certificate that has expired.*kafka\.tls_ca is right"
    with server(CERTIFICATES / "expired.pem") as port:
        with pytest.raises(HeadwaterError, match=told):
            check_kafka(kafka(port, tls_ca=AUTHORITY), [])
        with pytest.raises(HeadwaterError, match=told.replace("kafka", "cassandra")):
            check_cassandra(cassandra(port, tls_ca=AUTHORITY))


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("not a certificate")
    with pytest.raises(HeadwaterError, match=r"kafka\.tls_ca .*ca\.pem is no certificate"):
        check_kafka(kafka(1, tls_ca=str(file)), [])
    with pytest.raises(HeadwaterError, match=r"cassandra\.tls_ca .*ca\.pem is no certificate"):
        check_cassandra(cassandra(1, tls_ca=str(file)))


def test_whoever_does_not_answer_is_named_with_the_setting_of_the_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(preflight, "TIMEOUT_S", 1.0)
    monkeypatch.setattr(schema, "TIMEOUT_S", 1.0)
    with server(None) as port:
        with pytest.raises(HeadwaterError, match=rf"127\.0\.0\.1:{port} does not answer.*kafka"):
            check_kafka(kafka(port), [])
        with pytest.raises(HeadwaterError, match=r"look at cassandra\.hosts"):
            check_cassandra(cassandra(port))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"user": "u", "password_file": "/none"}, r"password_file names /none"),
        ({"user": "u"}, r"user is u and there is no password"),
    ],
)
def test_a_login_without_a_password_names_both_ways_to_give_one(changes, told, monkeypatch) -> None:
    for service in ("KAFKA", "CASSANDRA"):
        monkeypatch.delenv(f"HEADWATER_{service}_PASSWORD", raising=False)
    with pytest.raises(HeadwaterError, match=told):
        check_kafka(kafka(1, **changes), [])
    with pytest.raises(HeadwaterError, match=told):
        check_cassandra(cassandra(1, **changes))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_one_sentence_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "app", lambda: Path("/dev/full").write_text("x"))
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    told = capsys.readouterr().err
    assert "no room is left on the disk" in told
    assert "`home`" in told
    assert "Traceback" not in told
    assert sys.exception() is None
