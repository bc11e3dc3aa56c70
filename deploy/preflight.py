"""Looks whether a job would get in, before anything is done: a wrong setting is named at once.

Flink would tell the same minutes later, deep in a trace, and try for ever. Kafka is asked with the
rights of the command line for the topics, and with the job's own name and password whether they
count; Cassandra is asked, as the job, to prepare each of its statements.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

from deploy.connections import Plan
from deploy.errors import HeadwaterError
from deploy.stack import schema
from jobs.access import cassandra_password, python_client, readable
from jobs.settings import Cassandra, Kafka, Recommend
from jobs.understand_settings import Understand
from operators import feature_rows
from operators.rows import STATEMENTS

TIMEOUT_S = 10.0
EXPIRED = "certificate has expired"


class AccessError(HeadwaterError):
    """Kafka or Cassandra does not let the job in, or lacks what it needs."""


def check(planned: Plan) -> None:
    """Raise what would keep a job from running.

    Raises:
        HeadwaterError: With the setting to look at.
    """
    settings = planned.settings
    topics = [settings.kafka.dead_letters, settings.kafka.events]
    if isinstance(settings, Recommend | Understand):
        topics.append(settings.kafka.items)
    if isinstance(settings, Understand):
        topics += [settings.kafka.item_features, settings.kafka.text_signals]
    check_kafka(settings.kafka, topics)
    if isinstance(settings, Recommend):
        check_cassandra(settings.cassandra)
    elif isinstance(settings, Understand):
        check_cassandra(settings.cassandra, [feature_rows.SAID, feature_rows.GONE])


def check_kafka(kafka: Kafka, topics: Iterable[str]) -> None:
    """Ask for the topics.

    Raises:
        HeadwaterError: With the setting to look at.
    """
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient

    errors: list[Any] = []
    client: dict[str, Any] = {
        **python_client(kafka), "log_level": 0, "error_cb": errors.append
    }  # fmt: skip
    try:
        admin = AdminClient(client)
    except KafkaException as error:
        raise AccessError(_kafka_trouble(kafka, [error.args[0]])) from error
    deadline_s = time.monotonic() + TIMEOUT_S
    while True:
        try:
            found = admin.list_topics(timeout=1.0).topics
            break
        except KafkaException as error:
            admin.poll(0)  # hands out what the client was told meanwhile
            told = {one.code() for one in errors} & {KafkaError._SSL, KafkaError._AUTHENTICATION}
            if told or time.monotonic() > deadline_s:
                raise AccessError(_kafka_trouble(kafka, [*errors, error.args[0]])) from error
    if missing := [topic for topic in topics if topic not in found]:
        who = f" that {kafka.user} may see" if kafka.user else ""
        msg = (
            f"Kafka at {kafka.bootstrap} has no topic {missing[0]}{who}: `headwater up` or "
            "`headwater provision` creates the topics of the contract; other names are settings "
            "of [recommend.kafka]"
        )
        raise AccessError(msg)


def _kafka_trouble(kafka: Kafka, errors: Iterable[Any]) -> str:
    """The most telling of the client's errors, with the setting that is wrong."""
    from confluent_kafka import KafkaError

    where = f"Kafka at {kafka.bootstrap}"
    by_code = {error.code(): error.str() for error in errors}
    if "ssl.ca.location failed" in (text := by_code.get(KafkaError._INVALID_ARG, "")):
        return f"kafka.tls_ca {kafka.tls_ca} is no certificate in PEM ({_short(text)})"
    if text := by_code.get(KafkaError._SSL):
        why = _refused_certificate(kafka) or text
        if EXPIRED in why:
            return _expired(where, "kafka", why)
        return (
            f"{where} shows a certificate that is not signed by kafka.tls_ca {kafka.tls_ca or '…'} "
            f"or no longer valid ({_short(why)})"
        )
    if text := by_code.get(KafkaError._AUTHENTICATION):
        return (
            f"{where} does not let {kafka.user or 'anybody without a name'} in: look at kafka.user "
            f"and kafka.password_file ({_short(text)})"
        )
    text = next(iter(by_code.values()), "no answer")
    return (
        f"{where} does not answer ({_short(text)}): look at kafka.bootstrap, and at kafka.tls_ca "
        "if it speaks TLS"
    )


def _refused_certificate(kafka: Kafka) -> str:
    """Why a broker's certificate is refused; Kafka's client does not say it. Empty if it is not."""
    host, _, port = kafka.bootstrap.partition(",")[0].rpartition(":")
    try:
        context = ssl.create_default_context(cafile=kafka.tls_ca or None)
        with (
            socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except (OSError, ValueError):
        return ""


def _expired(where: str, table: str, text: str) -> str:
    return (
        f"{where} shows a certificate that has expired ({_short(text)}): renew that of the server; "
        f"{table}.tls_ca is right unless the authority's own has expired too"
    )


def _short(text: str) -> str:
    return text.split(" (after ")[0][:300]


def check_cassandra(
    cassandra: Cassandra, statements: Iterable[str] = tuple(STATEMENTS.values())
) -> None:
    """Prepare every statement of the sink.

    Raises:
        HeadwaterError: With the setting to look at.
    """

    def prepare(session: Any) -> None:
        for cql in statements:
            session.prepare(cql.format(keyspace=cassandra.keyspace))

    on_cassandra(cassandra, prepare)


def on_cassandra(cassandra: Cassandra, work: Callable[[Any], None]) -> None:
    """Do something with a session.

    Raises:
        HeadwaterError: It cannot be had, or the tables are not those of this program.
    """
    from cassandra import InvalidRequest
    from cassandra.cluster import NoHostAvailable

    user = cassandra.user or None
    password = cassandra_password(cassandra) if user else None
    tls_ca = readable(cassandra.tls_ca, "cassandra.tls_ca") if cassandra.tls_ca else ""
    try:
        with schema.connected(cassandra.hosts, cassandra.port, user, password, tls_ca) as session:
            work(session)
    except NoHostAvailable as error:
        raise AccessError(cassandra_trouble(cassandra, error.errors.values())) from error
    except InvalidRequest as error:
        msg = (
            f"the tables in keyspace {cassandra.keyspace} are older than this program, or not "
            f"there ({error}): `headwater up` or `headwater provision` applies deploy/schema.cql; "
            "the keyspace is cassandra.keyspace"
        )
        raise AccessError(msg) from error
    except ssl.SSLError as error:
        msg = f"cassandra.tls_ca {cassandra.tls_ca} is no certificate in PEM ({error})"
        raise AccessError(msg) from error


def cassandra_trouble(cassandra: Cassandra, causes: Iterable[Any]) -> str:
    """What keeps a session from being made, with the setting that is wrong."""
    from cassandra import AuthenticationFailed

    where = f"Cassandra at {', '.join(cassandra.hosts)}:{cassandra.port}"
    told = list(causes)
    if any(isinstance(one, AuthenticationFailed) for one in told):
        return (
            f"{where} does not let {cassandra.user or 'anybody without a role'} in: look at "
            f"cassandra.user and cassandra.password_file"
        )
    if bad := [one for one in told if "CERTIFICATE" in str(one)]:
        if EXPIRED in str(bad[0]):
            return _expired(where, "cassandra", str(bad[0]))
        return (
            f"{where} shows a certificate that is not signed by cassandra.tls_ca "
            f"{cassandra.tls_ca or '…'} or no longer valid ({bad[0]})"
        )
    why = next((str(one) for one in told), "no answer")
    return (
        f"no Cassandra answers at {where.partition(' at ')[2]} ({why}): start one with "
        "`headwater up`, or look at cassandra.hosts and, if it speaks TLS, cassandra.tls_ca"
    )
