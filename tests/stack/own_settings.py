"""A settings file for the shared stack, for jobs that nobody else's test runs beside."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.cluster import Cluster
from deploy.launching import flink_name
from deploy.stack import Stack


@contextmanager
def written(
    stack: Stack,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    tables: Mapping[str, Mapping[str, Any]],
    jobs: Sequence[str] = ("recommend",),
) -> Iterator[Path]:
    """The file, which the command line finds by itself; these jobs end with the block.

    Args:
        stack: Its settings are in the file.
        folder: Gets it.
        monkeypatch: Of the test.
        tables: Values by table and key, besides those of the stack.
        jobs: That may run.
    """
    own = {k: v for k, v in msgspec.to_builtins(stack.settings).items() if v is not None}
    lines = []
    for name, values in ({"stack": own} | dict(tables)).items():
        # A JSON string, number or boolean is a TOML one too.
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    file = folder / "headwater.toml"
    file.write_text("\n".join(lines))
    monkeypatch.setenv("HEADWATER_CONFIG", str(file))
    try:
        yield file
    finally:
        cluster = Cluster(stack.flink_rest_url)
        for job in jobs:
            if active := cluster.active(flink_name(job)):
                cluster.cancel(active.job_id)
