"""The job `recommend` on a local mini cluster, several runs one after the other in one process.

Usage: local_recommend.py JSON, a list of runs, each FOLDER and a list of KEY=VALUE, as `jobs.local`
takes them. To start a JVM and two interpreters takes longer than such a run.
"""

import sys
from pathlib import Path

import msgspec

from jobs.local import end_with_parent, main

if __name__ == "__main__":
    end_with_parent()
    for folder, overrides in msgspec.json.decode(sys.argv[1], type=list[tuple[str, list[str]]]):
        main(Path(folder), None, [], overrides)
