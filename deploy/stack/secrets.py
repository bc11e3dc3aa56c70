"""The secrets of a secure stack: an authority of its own, a certificate, a password a role.

All of it lies in ``<home>/secrets``, readable by the owner alone, and is forgotten by ``down
--wipe``. The authority's key is thrown away once it has signed the one certificate: nobody can sign
another with it. ``keytool`` comes with the Java that runs the services.
"""

import secrets
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from deploy.stack.errors import ServiceError, SettingsError
from deploy.stack.layout import PACKAGE, Layout

ROLES_FILE = PACKAGE.parent / "roles.toml"
ADMIN = "admin"
"""The one who makes the others; the stack itself logs in as this."""

DISTINGUISHED_NAME = "CN=headwater-stack"
VALID_DAYS = 825


class Role(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a program may do.

    Attributes:
        read: Topics.
        write: Topics.
        rewrite: Topics of which records may be deleted.
        groups: Consumer groups, by the beginning of their names.
        modify: Tables.
        select: Tables.
    """

    read: list[str] = []
    write: list[str] = []
    rewrite: list[str] = []
    groups: list[str] = []
    modify: list[str] = []
    select: list[str] = []


class Login(NamedTuple):
    """A name, the file of its password, and the authority to trust."""

    user: str
    password_file: Path
    tls_ca: Path

    @property
    def password(self) -> str:
        """The password."""
        return self.password_file.read_text("utf-8").strip()


def roles(path: Path = ROLES_FILE) -> dict[str, Role]:
    """All roles by name.

    Raises:
        SettingsError: The file holds something else.
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), dict[str, Role])
    except (msgspec.ValidationError, tomllib.TOMLDecodeError) as error:
        msg = f"{path}: {error}; legal are {', '.join(Role.__struct_fields__)}"
        raise SettingsError(msg) from error


def is_secure(layout: Layout) -> bool:
    """Whether the stack in this home was made a secure one."""
    return (layout.secrets / "ca.pem").is_file()


def login(layout: Layout, role: str) -> Login | None:
    """How a role gets in; None where everybody does."""
    if not is_secure(layout):
        return None
    folder = layout.secrets
    return Login(role, folder / f"{role}.password", folder / "ca.pem")


def make(layout: Layout, java_home: Path) -> None:
    """Make all secrets; does nothing where they are.

    Raises:
        ServiceError: The home holds data of a stack that is open to all, or keytool failed.
    """
    if is_secure(layout):
        return
    if (layout.data / "kafka").exists() or (layout.data / "cassandra").exists():
        msg = (
            f"{layout.data} holds data of a stack without passwords: `headwater down --wipe` "
            "forgets it, or give the secure stack a `home` of its own"
        )
        raise ServiceError(msg)
    fresh = layout.secrets.with_name("secrets.partial")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700, parents=True)
    for name in (ADMIN, "keystore", *roles()):
        _write(fresh / f"{name}.password", secrets.token_urlsafe(24))
    _certify(fresh, java_home / "bin" / "keytool")
    fresh.rename(layout.secrets)


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, "utf-8")


def _certify(folder: Path, keytool: Path) -> None:
    """Keys of an authority and of the server, the server's signed by the authority."""
    authority, server = folder / "authority.p12", folder / "server.p12"
    new = ["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-validity", str(VALID_DAYS)]
    request, signed, ca = folder / "server.csr", folder / "server.pem", folder / "ca.pem"

    def run(store: Path, *arguments: object) -> None:
        password = ("-storetype", "PKCS12", "-storepass:file", folder / "keystore.password")
        command = [str(keytool), *map(str, (*arguments, "-keystore", store, *password))]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        if told.returncode:
            msg = f"keytool {arguments[0]} failed: {told.stdout}{told.stderr}".strip()
            raise ServiceError(msg)

    run(authority, *new, "-alias", "ca", "-dname", "CN=Headwater local authority", "-ext", "bc:c")
    run(authority, "-exportcert", "-alias", "ca", "-rfc", "-file", ca)
    run(server, *new, "-alias", "server", "-dname", DISTINGUISHED_NAME)
    run(server, "-certreq", "-alias", "server", "-file", request)
    run(
        authority, "-gencert", "-alias", "ca", "-infile", request, "-outfile", signed, "-rfc",
        "-ext", "san=ip:127.0.0.1,dns:localhost", "-validity", str(VALID_DAYS),
    )  # fmt: skip
    run(server, "-importcert", "-noprompt", "-alias", "ca", "-file", ca)
    run(server, "-importcert", "-noprompt", "-alias", "server", "-file", signed)
    for leftover in (authority, request, signed):
        leftover.unlink()


def kafka_client(layout: Layout, role: str = ADMIN) -> dict[str, Any]:
    """Settings of a ``confluent_kafka`` client of a role; empty where everybody gets in."""
    found = login(layout, role)
    if found is None:
        return {}
    return {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(found.tls_ca),
        "sasl.mechanism": "PLAIN" if role == ADMIN else "SCRAM-SHA-512",
        "sasl.username": found.user,
        "sasl.password": found.password,
    }
