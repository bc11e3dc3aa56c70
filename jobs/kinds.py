"""Which settings belong to which job."""

from collections.abc import Mapping

from jobs.settings import Job, Learn, Recommend
from jobs.understand_settings import Understand

KINDS: Mapping[str, type[Job]] = {"learn": Learn, "recommend": Recommend, "understand": Understand}
"""Settings by name of the job, which is also that of its table in the settings file."""


def kind_of(job: str) -> type[Job]:
    """Settings of a job that exists."""
    return KINDS[job]
