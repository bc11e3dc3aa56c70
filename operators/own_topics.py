"""The step of the catalogue that gives items and texts the topics of the tenant's own clusters.

Heads and prototypes know the topics somebody named before; the shipped prototypes are those of
news. A shop wants to hear what its own catalogue is about, so where nobody gave a head, a model or
descriptions, clusters stand in the place of topics (`own_topics = "auto"`); `beside` has both.

Until a tenant's first map is there (64 items), and for a text without a vector, the topics are
those of its reading. The stage publishes all items again with each map, and they get the topics of
the new clusters with it; between maps an item keeps what it was given until its record comes again.
State of before there were clusters has a map and no clusters: they begin with the items that are
there, and items get theirs when their records come again, which costs no inference.

On the wire a cluster is a topic like any other, with its id behind the name (`operators.naming`):
the id says what is the same, the name may become another.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from operators.clusters import Clusters, ClusterSettings, Sample, group, learn, weights
from operators.naming import is_due, rename, told
from operators.publishing import wide
from operators.readings import Reading, Weights
from operators.stage import COUNT, Out, Table

Use = Literal["instead", "beside", "off"]
"""Of own clusters: in the place of a reading's topics, beside them, or not at all."""

GROUPED_MIN = 8
"""Items that the first clusters are made of: fewer have no middle that would last."""

GROUPED_MAX = 10_000
"""Items that are grouped afresh together; of more, an even sample."""


class OwnTopics:
    """See the module.

    Args:
        settings: Of the clusters.
        use: Of them.
    """

    def __init__(self, settings: ClusterSettings, use: Use) -> None:
        self._settings, self._use = settings, use

    def teach(
        self,
        table: Table[Clusters],
        name: str,
        fresh: Sequence[Sample],
        every: Callable[[], Sequence[Sample]],
        *,
        items: int,
        version: int,
        anew: bool,
    ) -> list[Out]:
        """Let items teach the clusters of a tenant and encoder.

        Args:
            table: Of the clusters.
            name: Tenant and encoder.
            fresh: Items with a text that has not taught yet.
            every: Gives all items, for a fresh grouping.
            items: How many there are.
            version: Of the map of the catalogue.
            anew: Whether it is a new one.

        Returns:
            Counters.
        """
        if self._use == "off" or not version:
            return []
        found = table.get(name)
        known, is_first = found or Clusters(), found is None
        taught = every() if anew or is_first else fresh
        if len(taught) < (GROUPED_MIN if is_first else 1):
            return []
        alive, ever = len(known.clusters), known.begun
        if anew or is_first:
            group(known, taught, self._settings)
        else:
            learn(known, taught, items, self._settings)
        begun = known.begun - ever
        ended = alive + begun - len(known.clusters)
        if anew or begun or ended or is_due(known):
            rename(known, self._settings)
        table.put(name, known)
        counted = [Out(COUNT, "topics_begun", begun), Out(COUNT, "topics_ended", ended)]
        return [out for out in counted if out.message]

    def of(self, table: Table[Clusters], name: str, readings: Sequence[Reading]) -> list[Weights]:
        """Topics of each reading, heaviest first."""
        found = [reading.topics for reading in readings]
        known = None if self._use == "off" else table.get(name)
        places = [at for at, reading in enumerate(readings) if reading.encoded]
        if known is None or not places:
            return found
        texts = [sample("", readings[at]) for at in places]
        for at, own in zip(places, weights(known, texts, self._settings), strict=True):
            named = [(told(one, readings[at].language), weight) for one, weight in own]
            found[at] = [*named, *found[at]] if self._use == "beside" else named
        return found


def sample(item: str, reading: Reading) -> Sample:
    """An item as the clusters see it."""
    return Sample(item, wide(reading), reading.language, reading.tags)


def even(items: Sequence[str]) -> Sequence[str]:
    """At most `GROUPED_MAX` of them, evenly spread."""
    return items[:: -(-len(items) // GROUPED_MAX) or 1]
