"""How often a worker's Python searches for cycles of objects: seldom.

Nothing here makes cycles worth the search. A full one walks all the decoded values that the stages
keep at hand: fifths of a second in which every stage stands still. The small ones add up where
each event is some dozen new objects: at Python's own thresholds they were an eighth of what the
process of parser and sink did at 1,000 events a second, and a fifth at 100.
"""

import gc

EVERY = (100_000, 20, 100)
"""More objects than there were, and searches of each generation, before the next one is searched;
Python's own are 700, 10 and 10."""


def collect_seldom() -> None:
    """Set it for this process."""
    gc.set_threshold(*EVERY)
