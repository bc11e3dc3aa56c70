"""Amazon reviews (J. McAuley, UCSD; 2014 and 2018): JSON lines, with product metadata beside them.

A review has stars and a text, its summary first. Names of reviewers are left out, also where one
stands for the summary. Products without metadata have their `asin` for a title.
"""

from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from deploy.replay.batch import Batch
from deploy.replay.files import head, json_records, plain_name
from deploy.replay.loader import Loader
from deploy.replay.report import SourceError
from operators.events import Action

PREFIX: Final = "az"
USUAL: Final[Action | None] = "review"

_ENDS = (".json", ".jsonl")


class _Review(Struct, frozen=True):
    """A line of a file of reviews."""

    reviewer: str = msgspec.field(name="reviewerID")
    asin: str
    stars: float = msgspec.field(name="overall")
    time_s: int = msgspec.field(name="unixReviewTime")
    text: str | None = msgspec.field(name="reviewText", default=None)
    summary: str | None = None
    name: str | None = msgspec.field(name="reviewerName", default=None)

    def extra(self) -> dict[str, Any]:
        """Give the summary and the text as one text, nothing if there is neither."""
        summary = "" if self.summary == self.name else self.summary
        text = "\n".join(part for part in (summary, self.text) if part)
        return {"text": text} if text else {}


class _Product(Struct, frozen=True):
    """A line of a file of metadata."""

    asin: str
    title: str | None = None
    brand: str | None = None
    category: list[str] = []
    categories: list[list[str]] = []
    description: str | list[str] | None = None

    def info(self) -> dict[str, Any]:
        """Give the fields of the item."""
        words = self.category or [word for path in self.categories for word in path]
        description = (
            self.description
            if isinstance(self.description, str)
            else " ".join(self.description or ())
        )
        found = {
            "title": self.title,
            "creator": self.brand,
            "categories": list(dict.fromkeys(words)),
            "description": description,
        }
        return {name: value for name, value in found.items() if value}


def recognise(place: Path) -> bool:
    """Whether a file of reviews is there, going by the first line."""
    return bool(_reviews(place))


def load(place: Path, loader: Loader) -> None:
    """Read metadata, then reviews.

    Raises:
        SourceError: If there is no file of reviews, or one cannot be read.
    """
    reviews = [place] if place.is_file() else _reviews(place)
    if not reviews:
        msg = f"{place} has no JSON lines with reviewerID and asin, plain or .gz"
        raise SourceError(msg)
    for file in _metadata(place):
        for chunk in json_records(file, loader.report, msgspec.json.Decoder(_Product)):
            for line, product in zip(chunk.lines, chunk.records, strict=True):
                loader.add_item(product.asin, product.info(), file, line)
    for file in reviews:
        for reviews_read in json_records(file, loader.report, msgspec.json.Decoder(_Review)):
            _add(file, reviews_read.lines, reviews_read.records, loader)


def _add(file: Path, lines: list[int], reviews: list[_Review], loader: Loader) -> None:
    loader.add(
        Batch(
            file=file,
            lines=lines,
            times=[review.time_s for review in reviews],
            time_unit="s",
            actions="review",
            users=[review.reviewer for review in reviews],
            items=[review.asin for review in reviews],
            values=[review.stars for review in reviews],
            extras=[review.extra() for review in reviews],
        )
    )


def _reviews(place: Path) -> list[Path]:
    if place.is_file():
        return [place] if _is_reviews(place) else []
    return [file for file in _json_files(place) if _is_reviews(file)]


def _metadata(place: Path) -> list[Path]:
    folder = place if place.is_dir() else place.parent
    return [file for file in _json_files(folder) if file.name.startswith("meta_")]


def _json_files(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.is_file() and plain_name(f).endswith(_ENDS))


def _is_reviews(file: Path) -> bool:
    first = next((line for line in head(file) if line.strip()), "")
    try:
        record = msgspec.json.decode(first)
    except (msgspec.DecodeError, UnicodeError):
        return False
    return isinstance(record, dict) and {"reviewerID", "asin"} <= record.keys()
