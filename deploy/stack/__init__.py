"""The local stack: Kafka, Cassandra and Flink from packages, without Docker.

======================  ===============================================================
``settings``            one typed struct from ``headwater.toml`` and ``HEADWATER_STACK_*``
``layout``              the folders under ``home``
``java``, ``jars``      Java 17; the jars that Maven fetches, once
``render``              configuration files from templates
``services``            what each service is started with
``processes``, ``ports``  process records, sessions, usage; whose port it is
``readiness``           when a service really serves
``topics``, ``schema``  the wire contract in Kafka and Cassandra, applied as often as called
``starting``            starts one service each, waits until it serves
``local``               ``Stack``: up, down, status, fault drills
``reporting``, ``console``  what a person sees
======================  ===============================================================
"""

from deploy.stack.errors import (
    FetchError,
    PortTakenError,
    ServiceError,
    SettingsError,
    StackError,
)
from deploy.stack.local import ServiceStatus, Stack
from deploy.stack.settings import StackSettings, load_settings

__all__ = [
    "FetchError",
    "PortTakenError",
    "ServiceError",
    "ServiceStatus",
    "SettingsError",
    "Stack",
    "StackError",
    "StackSettings",
    "load_settings",
]
