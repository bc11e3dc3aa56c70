"""Which settings make the numbers in a job's state mean what they mean."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from jobs.settings import Job, Recommend
from jobs.understand_settings import Understand
from operators.meaning import Meaning
from operators.parameters import PairSettings


def meaning(settings: Job) -> Meaning:
    """Of `recommend` strengths, history and buckets; of `understand` the buckets; else nothing.

    All other settings may change under a running state.
    """
    if isinstance(settings, Recommend):
        parts: Mapping[str, Any] = {
            "strengths": settings.strengths,
            "history": msgspec.convert(settings.history, PairSettings, from_attributes=True),
            "buckets": settings.buckets,
        }
        return Meaning(blake2b(msgspec.json.encode(parts), digest_size=4).hexdigest(), _flat(parts))
    if isinstance(settings, Understand):
        return Meaning(f"buckets{settings.buckets}", _flat({"buckets": settings.buckets}))
    return Meaning()


def _flat(parts: Mapping[str, Any]) -> dict[str, str]:
    """Values as JSON, by `table.key`."""
    found: dict[str, str] = {}
    for name, value in parts.items():
        if isinstance(value, msgspec.Struct):
            for key, one in msgspec.structs.asdict(value).items():
                found[f"{name}.{key}"] = msgspec.json.encode(one).decode()
        else:
            found[name] = msgspec.json.encode(value).decode()
    return found
