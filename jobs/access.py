"""How a program proves to Kafka and Cassandra who it is, and whom it trusts.

An authority's certificate (`tls_ca`, a PEM file) switches TLS on; a `user` switches on names and
passwords. A password comes from a file or from the environment and from nowhere else. A file is
read where the job runs, so nothing secret is part of the submitted job; a variable is read at
submission and travels with it.
"""

import os
from pathlib import Path

from jobs.settings import (
    CASSANDRA_PASSWORD,
    KAFKA_PASSWORD,
    Cassandra,
    Kafka,
    SettingsError,
    from_environment,
)

_SHADED = "org.apache.flink.kafka.shaded.org.apache.kafka.common"
"""Where Flink's connector keeps Kafka's classes."""


def security_protocol(kafka: Kafka) -> str:
    """Kafka's name of the way in."""
    if kafka.user:
        return "SASL_SSL" if kafka.tls_ca else "SASL_PLAINTEXT"
    return "SSL" if kafka.tls_ca else "PLAINTEXT"


def java_client(kafka: Kafka) -> dict[str, str]:
    """Settings of the client inside Flink's connector.

    Raises:
        SettingsError: A file is missing, or there is no password.
    """
    made = {"bootstrap.servers": kafka.bootstrap}
    if kafka.tls_ca or kafka.user:
        made["security.protocol"] = security_protocol(kafka)
    if kafka.tls_ca:
        made["ssl.truststore.type"] = "PEM"
        made["ssl.truststore.location"] = readable(kafka.tls_ca, "kafka.tls_ca")
    if kafka.user:
        made["sasl.mechanism"] = kafka.mechanism
        made |= _jaas(kafka)
    return {**made, **kafka.properties}


def _jaas(kafka: Kafka) -> dict[str, str]:
    """The login; a password in a file is named, and read by Kafka's client when it connects."""
    scram = kafka.mechanism.startswith("SCRAM")
    module = f"{_SHADED}.security.{'scram.Scram' if scram else 'plain.Plain'}LoginModule"
    if not kafka.password_file:
        password = _quoted(kafka_password(kafka))
        return {"sasl.jaas.config": f"{module} required username={_quoted(kafka.user)} "
                f"password={password};"}  # fmt: skip
    file = Path(readable(kafka.password_file, "kafka.password_file"))
    return {
        "config.providers": "file",
        "config.providers.file.class": f"{_SHADED}.config.provider.DirectoryConfigProvider",
        "sasl.jaas.config": f"{module} required username={_quoted(kafka.user)} "
        f'password="${{file:{file.parent}:{file.name}}}";',
    }


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def python_client(kafka: Kafka) -> dict[str, str]:
    """Settings of a `confluent_kafka` client.

    Raises:
        SettingsError: As above.
    """
    made = {"bootstrap.servers": kafka.bootstrap}
    if kafka.tls_ca or kafka.user:
        made["security.protocol"] = security_protocol(kafka)
    if kafka.tls_ca:
        made["ssl.ca.location"] = readable(kafka.tls_ca, "kafka.tls_ca")
    if kafka.user:
        made["sasl.mechanism"] = kafka.mechanism
        made["sasl.username"] = kafka.user
        made["sasl.password"] = kafka_password(kafka)
    return {**made, **kafka.properties}


def kafka_password(kafka: Kafka) -> str:
    """The password of `kafka.user`.

    Raises:
        SettingsError: There is none.
    """
    return _password(kafka.password_file, "kafka", kafka.user, KAFKA_PASSWORD)


def cassandra_password(cassandra: Cassandra) -> str:
    """The password of `cassandra.user`.

    Raises:
        SettingsError: There is none.
    """
    return _password(cassandra.password_file, "cassandra", cassandra.user, CASSANDRA_PASSWORD)


def _password(file: str, table: str, user: str, variable: str) -> str:
    if file:
        text = Path(readable(file, f"{table}.password_file")).read_text("utf-8").strip()
        if not text:
            msg = f"{table}.password_file {file} is empty: it holds the password of {user}"
            raise SettingsError(msg)
        return text
    if (found := from_environment(variable)) is not None:
        return found
    msg = (
        f"{table}.user is {user} and there is no password: set {table}.password_file to a file "
        f"that holds it, or {variable}"
    )
    raise SettingsError(msg)


def readable(file: str, setting: str) -> str:
    """The absolute path of a file that a setting names.

    Raises:
        SettingsError: It cannot be read.
    """
    path = Path(file).expanduser().absolute()
    if not (path.is_file() and os.access(path, os.R_OK)):
        msg = f"{setting} names {file}, which is no file that can be read"
        raise SettingsError(msg)
    return str(path)
