"""Settings of the jobs: one typed struct, from a TOML file, then `--set table.key=value`.

The file is the one of the local stack (`headwater.toml`); a job reads its own table, `[recommend]`.
An unknown key is refused with the nearest legal one. Secrets come from the environment alone.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct, field

from operators.errors import HeadwaterError
from operators.events import Border
from operators.features import FEATURES, Weights
from operators.parameters import (
    AdmissionSettings,
    ContentSettings,
    FiguresSettings,
    HistorySettings,
    LearningSettings,
    NeighboursSettings,
    PopularSettings,
    RankingSettings,
    Shadow,
)
from operators.strengths import Strengths

Positive = Annotated[int, Meta(ge=1)]
ShadowName = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,31}$")]
SECRET = re.compile("jaas|password|secret|token|credential|[._]key$", re.IGNORECASE)
CASSANDRA_PASSWORD = "HEADWATER_CASSANDRA_PASSWORD"
KAFKA_PASSWORD = "HEADWATER_KAFKA_PASSWORD"


class SettingsError(HeadwaterError):
    """A setting is unknown, of the wrong type or out of range."""


class Kafka(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where events come from. A password is read from a file or HEADWATER_KAFKA_PASSWORD.

    Attributes:
        bootstrap: Servers, host:port[,...].
        group: Consumer group; its offsets show the lag, recovery goes by checkpoints.
        events, items, dead_letters, outcomes, strategy: Names of the topics.
        item_features, text_signals: Topics of what `understand` reads in items and in what people
            write; empty where there is none, and then no list knows of it.
        start: Where a job without a savepoint begins.
        tls_ca: PEM file of the authority that signed the brokers' certificates; switches TLS on.
        user: Name to log in with (SASL); empty for none.
        mechanism: How the password is proven.
        password_file: File that holds it, where the job runs.
        redact: What a dead letter holds of the record: all of it (`keep`), its SHA-256 in
            hexadecimal (`hash`), or nothing (`drop`). Topic, partition, offset and the reason stay;
            where the record is not kept, values quoted in the reason are left out.
        properties: Further client properties.
    """

    bootstrap: str = "127.0.0.1:9092"
    group: str = "headwater-recommend"
    events: str = "headwater.events"
    items: str = "headwater.items"
    item_features: str = "headwater.item-features"
    text_signals: str = "headwater.text-signals"
    dead_letters: str = "headwater.dead-letters"
    outcomes: str = "headwater.outcomes"
    strategy: str = "headwater.strategy"
    start: Literal["earliest", "latest"] = "earliest"
    tls_ca: str = ""
    user: str = ""
    mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    password_file: str = ""
    redact: Literal["keep", "hash", "drop"] = "keep"
    properties: dict[str, str] = {}


class Cassandra(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where lists go. A password is read from a file or HEADWATER_CASSANDRA_PASSWORD.

    Attributes:
        hosts: Contact points.
        datacenter: Local data centre of the driver.
        user: Role to log in as; empty for none.
        password_file: File that holds its password, where the job runs.
        tls_ca: PEM file of the authority that signed the nodes' certificates; switches TLS on.
        concurrency: Requests under way at once from one sink.
        batch_bytes: Largest batch of writes for the same replicas; 0 sends each alone. Cassandra
            refuses batches above batch_size_fail_threshold, 50 KiB unless its settings say else,
            and writes a line to its log for each above batch_size_warn_threshold, 5 KiB.
        timeout_s: Of one write.
        attempts: Tries of a write before the sink fails and the job goes back to its last
            checkpoint.
        surface: Surface that lists are written for.
        variant: Name of the experiment's variant.
        ttl_s: After how long a row that is not renewed disappears.
    """

    hosts: list[str] = field(default_factory=lambda: ["127.0.0.1"])
    port: int = 9042
    datacenter: str = "datacenter1"
    keyspace: str = "headwater"
    user: str = ""
    password_file: str = ""
    tls_ca: str = ""
    consistency: Literal["ONE", "LOCAL_ONE", "LOCAL_QUORUM", "QUORUM"] = "LOCAL_ONE"
    concurrency: Positive = 32
    batch_bytes: Annotated[int, Meta(ge=0)] = 40_000
    timeout_s: float = 10.0
    attempts: Positive = 5
    surface: str = "home"
    variant: str = "default"
    ttl_s: Positive = 2_592_000


class Job(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every job of stages has.

    Attributes:
        clock: `live` batches by processing time and never ends; `replay` batches by event time,
            gives the same output for the same input, and ends with the topics' end of now.
        window_ms: Length of the micro-batches; None means 100 live and 1000 in a replay.
        settle_ms: How often a stage is asked for what it holds back, such as similar items and
            profiles, which are written once in this time at most; 800 of a stage that has work.
        disorder_ms: In a replay, how far a partition may be out of order; what comes later still,
            when windows up to its time are closed, is a dead letter.
        buckets: Fixed number of key groups of the state, an upper bound of the parallelism. A
            bucket makes batches of its own: the more there are, the smaller they are.
        cache_entries: Small decoded values kept a table and bucket (and as many older ones); of
            the large ones, users with candidates and items with neighbours, a fiftieth.
        journal_batches: Batches of a bucket after which its changed state is stored; until then a
            restore applies the noted batches once more. Fewer if they are large (16 MB).
        hold_max_ms: Live, how long a stage with much to do gathers micro-batches of a backlog,
            older than two seconds, to work it off in fewer and larger ones. 0: not at all.
        buffer_timeout_ms: How long an exchange between tasks may hold a record back. Records are
            whole batches, few a second: at 0 each goes at once, and no thread looks for any.
        parallelism: Of the job; None means the cluster's default.
    """

    clock: Literal["live", "replay"] = "live"
    window_ms: Positive | None = None
    settle_ms: Positive = 10_000
    disorder_ms: Annotated[int, Meta(ge=0)] = 10_000
    buckets: Annotated[int, Meta(ge=1, le=720)] = 16
    cache_entries: Positive = 20_000
    journal_batches: Positive = 100
    hold_max_ms: Annotated[int, Meta(ge=0)] = 2000
    buffer_timeout_ms: Annotated[int, Meta(ge=0)] = 0
    parallelism: Positive | None = None
    kafka: Kafka = field(default_factory=Kafka)
    cassandra: Cassandra = field(default_factory=Cassandra)
    border: Border = field(default_factory=Border)

    @property
    def batch_ms(self) -> int:
        """Length of the micro-batches of this clock."""
        return self.window_ms or (1000 if self.clock == "replay" else 100)


class Recommend(Job, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about the job `recommend`.

    Attributes:
        popular_ms: How often the shared lists are renewed; at least `window_ms`.
        late_ms: Live, events older than this are counted as late (and used).
        shadows: By name, models that are judged on the same stream and served to nobody.
        buckets, cache_entries, journal_batches: As of every job. Each of six stages makes a batch a
            bucket ten times a second, so there are fewer buckets here, with more in each of them.
    """

    buckets: Annotated[int, Meta(ge=1, le=720)] = 4
    cache_entries: Positive = 80_000
    journal_batches: Positive = 200
    popular_ms: Positive = 1000
    late_ms: Positive = 3_600_000
    strengths: Strengths = field(default_factory=Strengths)
    admission: AdmissionSettings = field(default_factory=AdmissionSettings)
    content: ContentSettings = field(default_factory=ContentSettings)
    figures: FiguresSettings = field(default_factory=FiguresSettings)
    history: HistorySettings = field(default_factory=HistorySettings)
    neighbours: NeighboursSettings = field(default_factory=NeighboursSettings)
    popular: PopularSettings = field(default_factory=PopularSettings)
    ranking: RankingSettings = field(default_factory=RankingSettings)
    weights: Weights = field(default_factory=Weights)
    learning: LearningSettings = field(default_factory=LearningSettings)
    shadows: dict[ShadowName, Shadow] = {}

    @property
    def learns_by_topic(self) -> bool:
        """Whether learned weights come from the job `learn`."""
        return self.learning.enabled and self.clock == "live"

    @property
    def learns_in_graph(self) -> bool:
        """Whether the ranking learns them itself, all of it in one bucket: in a replay."""
        return self.learning.enabled and self.clock == "replay"


class LearnKafka(Kafka, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same of the job `learn`, with a consumer group of its own."""

    group: str = "headwater-learn"


class Learn(Job, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about the job `learn`.

    Attributes:
        weights: What learning begins with; the same as in `[recommend.weights]`.
        learning: Parameters; `period_ms` is how often weights are published.
    """

    buckets: Annotated[int, Meta(ge=1, le=720)] = 1
    kafka: LearnKafka = field(default_factory=LearnKafka)
    weights: Weights = field(default_factory=Weights)
    learning: LearningSettings = field(default_factory=LearningSettings)


J = TypeVar("J", bound=Job)


def load(kind: type[J], path: Path | None, overrides: Sequence[str] = ()) -> J:
    """Read a job's table of the file, then the overrides `key=value` or `table.key=value`.

    Raises:
        SettingsError: With the key, what was got and what is legal.
    """
    name = kind.__name__.lower()
    values = _table(path, name)
    for override in overrides:
        _merge(values, _parsed(override), override)
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        msg = f"settings [{name}]: {error}{_hint(kind, str(error))}"
        raise SettingsError(msg) from error


def effective(settings: Job) -> str:
    """The whole configuration as JSON, defaults included; secrets of the Kafka client hidden."""
    told = {
        name: "(hidden)" if SECRET.search(name) else value
        for name, value in settings.kafka.properties.items()
    }
    kafka = msgspec.structs.replace(settings.kafka, properties=told)
    shown = msgspec.structs.replace(settings, kafka=kafka)
    return msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()


def from_environment(variable: str) -> str | None:
    """A secret."""
    return os.environ.get(variable) or None


def _table(path: Path | None, name: str) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        table = tomllib.loads(path.read_text("utf-8")).get(name, {})
    except FileNotFoundError as error:
        msg = f"settings file {path} does not exist: create it, or name another one"
        raise SettingsError(msg) from error
    except OSError as error:
        msg = f"settings file {path} cannot be read: {error.strerror}"
        raise SettingsError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"settings file {path} is not TOML: {error}"
        raise SettingsError(msg) from error
    if not isinstance(table, dict):
        msg = f"settings file {path}: `{name}` has to be a table, [{name}]"
        raise SettingsError(msg)
    return table


def _parsed(override: str) -> dict[str, Any]:
    """`a.b=1` as {"a": {"b": 1}}: a line of TOML, or with a plain text for its value."""
    key, found, text = override.partition("=")
    quoted = f"{key} = {msgspec.json.encode(text).decode()}"
    for line in (override, quoted) if found else ():
        try:
            return tomllib.loads(line)
        except tomllib.TOMLDecodeError:
            continue
    what = "the key is none of TOML" if found else "there is no `=`"
    msg = f"--set {override}: has to read key=value or table.key=value; {what}"
    raise SettingsError(msg)


def _merge(values: dict[str, Any], more: Mapping[str, Any], override: str) -> None:
    for key, value in more.items():
        known = values.get(key)
        if not isinstance(value, dict):
            values[key] = value
        elif isinstance(known, dict) or known is None:
            _merge(values.setdefault(key, {}), value, override)
        else:
            msg = f"--set {override}: `{key}` is {known!r} and no table"
            raise SettingsError(msg)


def _hint(kind: type[Struct], error: str) -> str:
    """Legal keys of the table in which msgspec found an unknown one."""
    found = re.search(r"unknown field `(\w+)`(?: - at `\$\.([\w.\[\]]+)`)?", error)
    if found is None:
        unknown = "features" in error and "legal" not in error
        return f"; features are {', '.join(FEATURES)}" if unknown else ""
    table: Any = kind
    for part in re.findall(r"\w+|\[", found[2] or ""):
        table = get_args(table)[1] if part == "[" else _type_of(table, part)
    if SECRET.search(found[1]) or "passw" in found[1]:
        variable = KAFKA_PASSWORD if table is Kafka else CASSANDRA_PASSWORD
        return f"; a password is read from the file `password_file` names, or from {variable}"
    names = list(table.__struct_fields__)
    near = difflib.get_close_matches(found[1], names, n=1)
    return f"; did you mean `{near[0]}`?" if near else f"; legal are {', '.join(names)}"


def _type_of(table: Any, name: str) -> Any:
    """The type of a field; of one that may be None, what it is else."""
    kind = next(f.type for f in msgspec.structs.fields(table) if f.name == name)
    return get_args(kind)[0] if isinstance(kind, UnionType) else kind
