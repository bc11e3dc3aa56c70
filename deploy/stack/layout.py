"""Where the stack keeps its things: the one place that knows the folders under ``home``."""

import shutil
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parent
"""Folder of the templates, the poms and the start options of each service."""

PROJECT = PACKAGE.parent.parent
"""Folder that holds the packages ``jobs``, ``operators``, ``udfs`` and ``deploy``."""


class Layout(NamedTuple):
    """The folders under ``home``; all but the jars' cache are made and removed here."""

    home: Path

    @property
    def data(self) -> Path:
        """What a person would miss: Kafka's log, Cassandra's tables, Flink's checkpoints."""
        return self.home / "data"

    @property
    def conf(self) -> Path:
        """Rendered configuration, rewritten by every start."""
        return self.home / "conf"

    @property
    def lib(self) -> Path:
        """Flink's ``lib``: links to the wheel's jars, flink-python and the connector."""
        return self.home / "lib"

    @property
    def run(self) -> Path:
        """Process records."""
        return self.home / "run"

    @property
    def secrets(self) -> Path:
        """Keys and passwords of a secure stack."""
        return self.home / "secrets"

    @property
    def tmp(self) -> Path:
        """Temporary folders of all services; grows at hard kills, emptied by ``down``."""
        return self.home / "tmp"

    @property
    def checkpoints(self) -> Path:
        """Flink's retained checkpoints."""
        return self.data / "flink" / "checkpoints"

    @property
    def savepoints(self) -> Path:
        """Flink's savepoints."""
        return self.data / "flink" / "savepoints"

    def logs(self, service: str) -> Path:
        """Folder of one service's log files."""
        return self.home / "logs" / service

    def service_tmp(self, service: str) -> Path:
        """Temporary folder of one service."""
        return self.tmp / service

    def make(self) -> None:
        """Makes the folders that a service would not make itself."""
        for folder in (self.data, self.conf, self.run, self.tmp, self.checkpoints, self.savepoints):
            folder.mkdir(parents=True, exist_ok=True)

    def wipe_tmp(self) -> None:
        """Removes the temporary files; nothing may be running."""
        shutil.rmtree(self.tmp, ignore_errors=True)

    def wipe(self) -> None:
        """Removes everything but the jars; nothing may be running."""
        self.wipe_tmp()
        for folder in (self.data, self.conf, self.lib, self.run, self.secrets, self.home / "logs"):
            shutil.rmtree(folder, ignore_errors=True)
