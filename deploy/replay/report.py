"""What was read from a data set, and what was not, with reasons."""

from pathlib import Path

from msgspec import Struct, field

from deploy.errors import HeadwaterError

SAMPLES = 3


class SourceError(HeadwaterError):
    """A data set cannot be read; the text says where, what was found and what to do."""


class Skipped(Struct, frozen=True):
    """A row that was left out.

    Attributes:
        file: Name of the file.
        line: Its line in the (unpacked) file, the first is 1.
        reason: What is wrong with it.
    """

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file} line {self.line}: {self.reason}"


class Report(Struct, kw_only=True):
    """Counts of a data set.

    Attributes:
        name: The format it was read as.
        strict: Whether the first bad row is an error.
        events: Events that `Source.records` gives.
        items: Items that `Source.records` gives, touched by an event or not.
        users: Distinct users.
        sessions: Distinct sessions of events without a user.
        skipped: Rows left out, of events and of items.
        samples: The first three of them.
        duplicates: Events whose id an earlier row has too; they are given, and the job refuses
            them.
        reordered: Whether the rows had to be sorted by time.
        first_ms: Time of the first event, UTC epoch milliseconds.
        last_ms: Time of the last one.
        stars: Least and most stars of any row, as they stand in the data; None without ratings.
        notes: Sentences on what else a reader of the counts should know.
    """

    name: str
    strict: bool = False
    events: int = 0
    items: int = 0
    users: int = 0
    sessions: int = 0
    skipped: int = 0
    samples: list[Skipped] = field(default_factory=list)
    duplicates: int = 0
    reordered: bool = False
    first_ms: int = 0
    last_ms: int = 0
    stars: tuple[float, float] | None = None
    notes: list[str] = field(default_factory=list)

    def rate(self, low: float, high: float) -> None:
        """Widen the span of stars that were seen."""
        before = self.stars or (low, high)
        self.stars = (min(low, before[0]), max(high, before[1]))

    def skip(self, file: Path, line: int, reason: str) -> None:
        """Count a bad row.

        Raises:
            SourceError: If the report is strict.
        """
        skipped = Skipped(file.name, line, reason)
        if self.strict:
            raise SourceError(str(skipped))
        self.skipped += 1
        if len(self.samples) < SAMPLES:
            self.samples.append(skipped)
