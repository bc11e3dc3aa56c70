"""Run one peer: `python -m programs JOB`, where JOB is a JSON file that says what is to be done.

Job: `peer`, `stream` (npz file), `until` (interactions to read), `first` (interaction to foretell
first), `every` (interactions between two trainings), `parameters` (a list: one run each), `result`
(JSON file to write: a list of `Measured`, and `version`). Progress goes to the standard output, one
number of interactions a line.
"""

import json
import sys
from pathlib import Path
from typing import Any

from .catalogue import described, make
from .past import Past
from .prequential import Prequential
from .stream import Stream


def main(job: dict[str, Any]) -> None:
    """Do what a job says."""
    stream = Stream.load(Path(job["stream"])).until(job["until"])
    runs = []
    for number, parameters in enumerate(job["parameters"]):
        past = Past(stream)
        prequential = Prequential(make(job["peer"], past, parameters), past)
        done = number * len(stream.users)
        measured = prequential.run(
            every=job["every"],
            first=job["first"],
            on_progress=lambda count, done=done: print(done + count, flush=True),  # type: ignore[misc]
        )
        runs.append(measured._asdict())
    Path(job["result"]).write_text(json.dumps({"version": described(job["peer"]), "runs": runs}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
