"""Makes the roles of ``deploy/roles.toml`` in Kafka and Cassandra, as often as it is called."""

import secrets as chance
from collections.abc import Mapping
from typing import Any

from deploy.stack import schema
from deploy.stack.errors import ServiceError
from deploy.stack.layout import Layout
from deploy.stack.secrets import ADMIN, Role, login, roles
from deploy.stack.settings import HOST

TIMEOUT_S = 20.0
FIRST_USER = "cassandra"
"""Whom a new Cassandra knows, with this name as the password."""


def grant_kafka(client: Mapping[str, Any], passwords: Mapping[str, str]) -> None:
    """Give each role its password and its rights on topics and groups.

    Args:
        client: Settings of a client that may do so.
        passwords: By role.

    Raises:
        ServiceError: Kafka refuses.
    """
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import (  # type: ignore[attr-defined]
        AdminClient,
        ScramCredentialInfo,
        ScramMechanism,
        UserScramCredentialUpsertion,
    )

    admin = AdminClient({**client, "log_level": 0})
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 8192)
    changes: list[Any] = [
        UserScramCredentialUpsertion(name, info, password.encode())
        for name, password in passwords.items()
    ]
    answers: dict[Any, Any] = {
        **admin.alter_user_scram_credentials(changes),
        **admin.create_acls([acl for name in passwords for acl in _acls(name, roles()[name])]),
    }
    for what, future in answers.items():
        try:
            future.result(TIMEOUT_S)
        except KafkaException as error:
            msg = f"Kafka refused the rights {what}: {error.args[0].str()}"
            raise ServiceError(msg) from error


def _acls(name: str, role: Role) -> list[Any]:
    from confluent_kafka.admin import (  # type: ignore[attr-defined]
        AclBinding,
        AclOperation,
        AclPermissionType,
        ResourcePatternType,
        ResourceType,
    )

    literal, prefixed = ResourcePatternType.LITERAL, ResourcePatternType.PREFIXED
    wanted = [
        *((ResourceType.TOPIC, topic, literal, AclOperation.READ) for topic in role.read),
        *((ResourceType.TOPIC, topic, literal, AclOperation.WRITE) for topic in role.write),
        *((ResourceType.TOPIC, topic, literal, AclOperation.DELETE) for topic in role.rewrite),
        *((ResourceType.GROUP, group, prefixed, AclOperation.READ) for group in role.groups),
        *((ResourceType.GROUP, group, prefixed, AclOperation.DELETE) for group in role.groups),
    ]
    return [
        AclBinding(kind, what, pattern, f"User:{name}", "*", operation, AclPermissionType.ALLOW)
        for kind, what, pattern, operation in wanted
    ]


def take_over(layout: Layout, port: int) -> None:
    """Make the administrator of a new Cassandra, and lock out the one whom everybody knows."""
    from cassandra.cluster import NoHostAvailable

    admin = login(layout, ADMIN)
    assert admin is not None
    ca = str(admin.tls_ca)
    try:
        with schema.connected([HOST], port, FIRST_USER, FIRST_USER, ca) as session:
            session.execute(
                f"CREATE ROLE IF NOT EXISTS {ADMIN} WITH PASSWORD = '{admin.password}' "
                "AND SUPERUSER = true AND LOGIN = true"
            )
    except NoHostAvailable:
        pass  # locked out at an earlier start
    with schema.connected([HOST], port, ADMIN, admin.password, ca) as session:
        session.execute(
            f"ALTER ROLE {FIRST_USER} WITH PASSWORD = '{chance.token_urlsafe(24)}' "
            "AND SUPERUSER = false AND LOGIN = false"
        )


def grant_cassandra(session: Any, keyspace: str, passwords: Mapping[str, str]) -> None:
    """Give each role its password and its rights on tables; roles without tables get no login.

    Args:
        session: Of one who may do so.
        keyspace: Of the tables.
        passwords: By role.

    Raises:
        ServiceError: Cassandra refuses.
    """
    statements = []
    for name, password in passwords.items():
        role = roles()[name]
        if not (role.modify or role.select):
            continue
        secret = password.replace("'", "''")
        statements += [
            f"CREATE ROLE IF NOT EXISTS {name} WITH LOGIN = true AND PASSWORD = '{secret}'",
            *(f"GRANT MODIFY ON {keyspace}.{table} TO {name}" for table in role.modify),
            *(f"GRANT SELECT ON {keyspace}.{table} TO {name}" for table in role.select),
        ]
    schema.apply_schema(session, statements)


def passwords_of(layout: Layout) -> dict[str, str]:
    """The passwords of all roles of a secure stack."""
    found = {name: login(layout, name) for name in roles()}
    return {name: one.password for name, one in found.items() if one is not None}
