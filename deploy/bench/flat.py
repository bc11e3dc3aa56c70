"""Whether cost grows with a user's history, an item's popularity, or the age of the job."""

from deploy.bench.bench import Bench
from deploy.bench.options import BenchError


def flat(bench: Bench) -> None:
    """Compare groups of events."""
    msg = f"--flat is not there yet (tenant {bench.names.tenant})"
    raise BenchError(msg)
