"""Amazon reviews (J. McAuley, UCSD; 2014, 2018, 2023): JSON lines, product metadata beside them.

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
_KEYS, _KEYS_23 = {"reviewerID", "asin"}, {"user_id", "parent_asin", "rating", "timestamp"}


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


class _Review23(Struct, frozen=True):
    """A line of a file of reviews of 2023; variants of a product share a `parent_asin`."""

    reviewer: str = msgspec.field(name="user_id")
    asin: str = msgspec.field(name="parent_asin")
    stars: float = msgspec.field(name="rating")
    time_ms: int = msgspec.field(name="timestamp")
    text: str | None = None
    summary: str | None = msgspec.field(name="title", default=None)

    def extra(self) -> dict[str, Any]:
        """Give the title and the text as one text, nothing if there is neither."""
        text = "\n".join(part for part in (self.summary, self.text) if part)
        return {"text": text} if text else {}


class _Product23(Struct, frozen=True):
    """A line of a file of metadata of 2023."""

    asin: str = msgspec.field(name="parent_asin")
    title: str | None = None
    store: str | None = None
    main_category: str | None = None
    categories: list[str] = []
    description: list[str] = []

    def info(self) -> dict[str, Any]:
        """Give the fields of the item."""
        words = self.categories or [self.main_category or ""]
        found = {
            "title": self.title,
            "creator": self.store,
            "categories": [word for word in dict.fromkeys(words) if word],
            "description": " ".join(self.description),
        }
        return {name: value for name, value in found.items() if value}


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
        product: type[_Product | _Product23]
        product = _Product23 if "parent_asin" in _keys(file) else _Product
        for chunk in json_records(file, loader.report, msgspec.json.Decoder(product)):
            for line, one in zip(chunk.lines, chunk.records, strict=True):
                loader.add_item(one.asin, one.info(), file, line)
    for file in reviews:
        kind: type[_Review | _Review23] = _Review23 if _keys(file) >= _KEYS_23 else _Review
        for read in json_records(file, loader.report, msgspec.json.Decoder(kind)):
            _add(file, read.lines, read.records, loader)


def _add(file: Path, lines: list[int], reviews: list[Any], loader: Loader) -> None:
    new = bool(reviews) and isinstance(reviews[0], _Review23)
    loader.add(
        Batch(
            file=file,
            lines=lines,
            times=[review.time_ms if new else review.time_s for review in reviews],
            time_unit="ms" if new else "s",
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
    keys = _keys(file)
    return keys >= _KEYS or keys >= _KEYS_23


def _keys(file: Path) -> set[str]:
    """Names in the first record of a file, none if it holds no object."""
    first = next((line for line in head(file) if line.strip()), "")
    try:
        record = msgspec.json.decode(first)
    except (msgspec.DecodeError, UnicodeError):
        return set()
    return set(record) if isinstance(record, dict) else set()
