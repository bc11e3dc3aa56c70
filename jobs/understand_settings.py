"""Settings of the job `understand`, table `[understand]` of the settings file."""

from typing import Annotated, Literal

from msgspec import Meta, field

from jobs.settings import Cassandra, Job, Kafka, Positive
from operators.catalogue import CatalogueSettings
from operators.clusters import ClusterSettings
from udfs.embedding import EncoderSettings
from udfs.settings import AnalysisSettings


class UnderstandKafka(Kafka, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Topics of the job; it writes `item_features` and `text_signals`.

    The features are also read at its start, for the vectors that need not be computed again.
    """

    group: str = "headwater-understand"


class VectorCassandra(Cassandra, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As for lists, but with few writes at once.

    Attributes:
        concurrency: Vectors under way at once from one sink. All sinks together stay at or below
            the cores of a Cassandra node: with more, its vector index loses inserts
            (CASSANDRA-21644), whatever `concurrent_writes` allows.
    """

    concurrency: Positive = 2


class Understand(Job, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about the job `understand`.

    Attributes:
        encoder: The model that makes the vectors, and where it runs.
        analysis: What is found out besides the vector, and by which heads.
        without_model: What happens if the model cannot be loaded, or the device asked for is not
            there: `refuse` the submission (a worker fails and says why), or `degrade`: features
            without vectors, or a slower device, each record with the reason in `fallback`.
        catalogue: Neighbours and the map.
        own_topics: Clusters of the catalogue's items as topics, in the place of those of heads and
            prototypes (`instead`), `beside` them, or not at all (`off`). `auto` is `instead` where
            nobody said what topics there are: no head, no model and no descriptions of one's own;
            else it is `off`.
        clusters: Of own topics.
        remembered: Vectors of the catalogue kept in the process of the model, about 900 bytes each
            at 384 dimensions.
        bundle_records: Texts that go to the model together at most; a checkpoint waits for them.
        bundle_ms: How long the first of them waits for the last.
    """

    kafka: UnderstandKafka = field(default_factory=UnderstandKafka)
    cassandra: VectorCassandra = field(default_factory=VectorCassandra)
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    without_model: Literal["refuse", "degrade"] = "refuse"
    catalogue: CatalogueSettings = field(default_factory=CatalogueSettings)
    own_topics: Literal["auto", "instead", "beside", "off"] = "auto"
    clusters: ClusterSettings = field(default_factory=ClusterSettings)
    remembered: Positive = 200_000
    bundle_records: Annotated[int, Meta(ge=1, le=10_000)] = 2000
    bundle_ms: Positive = 50
