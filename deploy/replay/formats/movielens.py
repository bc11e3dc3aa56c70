"""MovieLens: CSV (latest, 20M and later), `::` files (1M, 10M), and the tab files of 100K.

Ratings are events, films are items with their genres as categories. Free-text tags are comments
on request; nothing else of the folder is read. F. M. Harper and J. A. Konstan, The MovieLens
Datasets, ACM TiiS 5(4), 2015.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from deploy.replay.batch import Batch
from deploy.replay.files import Chunk, Delimited, find, head, reading
from deploy.replay.loader import Loader
from deploy.replay.report import SourceError
from operators.events import Action

PREFIX: Final = "ml"
USUAL: Final[Action | None] = "rating"

_RATINGS = ("userId", "movieId", "rating", "timestamp")
_TAGS = ("userId", "movieId", "tag", "timestamp")
_GENRES_100K = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Thriller", "War", "Western",
)  # fmt: skip
_NO_GENRES = {"(no genres listed)", "unknown", ""}


class _Edition(Struct, frozen=True):
    """How the files of an edition are called and written."""

    ratings: str
    movies: str
    tags: str
    first_line: re.Pattern[str]
    delimiter: str
    header: bool


_EDITIONS = (
    _Edition("ratings.csv", "movies.csv", "tags.csv",
             re.compile(r"(?=.*\buserId\b)(?=.*\bmovieId\b)(?=.*\brating\b)"), ",", True),
    _Edition("ratings.dat", "movies.dat", "tags.dat",
             re.compile(r"\d+::\d+::[\d.]+::\d+$"), "::", False),
    _Edition("u.data", "u.item", "",
             re.compile(r"\d+\t\d+\t[1-5]\t\d+$"), "\t", False),
)  # fmt: skip


def recognise(place: Path) -> bool:
    """Whether the place holds ratings, going by the first line of the file."""
    return _find_ratings(place) is not None


def load(place: Path, loader: Loader) -> None:
    """Read films, ratings and, if the options say so, tags.

    Raises:
        SourceError: If a file cannot be read or has not the columns of its edition.
    """
    edition, ratings = _find_ratings(place) or _expect_ratings(place)
    movies = find(ratings, edition.movies)
    if movies is None:
        note = f"there is no {edition.movies} beside {ratings.name}: items have ids for titles"
        loader.report.notes.append(note)
    elif edition.movies == "u.item":
        _load_movies_100k(movies, loader)
    else:
        _load_movies(movies, edition, loader)
    for chunk in _chunks(ratings, edition, _RATINGS, loader):
        _add(chunk, ratings, loader, "rating")
    tags = find(ratings, edition.tags) if edition.tags else None
    if tags and loader.options.tags:
        for chunk in _chunks(tags, edition, _TAGS, loader):
            _add(chunk, tags, loader, "comment")
    elif tags:
        loader.report.notes.append(f"{tags.name} is left out; with tags on, they are comments")


def _find_ratings(place: Path) -> tuple[_Edition, Path] | None:
    for edition in _EDITIONS:
        file = place if place.is_file() else find(place, edition.ratings)
        if file and edition.first_line.match((head(file) or [""])[0]):
            return edition, file
    return None


def _expect_ratings(place: Path) -> tuple[_Edition, Path]:
    """Take the place's word for being MovieLens, so that its columns can be complained about."""
    for edition in _EDITIONS:
        file = place if place.is_file() else find(place, edition.ratings)
        if file:
            return edition, file
    msg = f"{place} has none of {', '.join(e.ratings for e in _EDITIONS)}, plain or .gz"
    raise SourceError(msg)


def _chunks(
    file: Path, edition: _Edition, names: tuple[str, ...], loader: Loader, encoding: str = "utf-8"
) -> Iterator[Chunk]:
    """Give chunks whose columns are in the order of the names."""
    columns = None if edition.header else names
    quoted = edition.header
    source = Delimited(
        file, loader.report, delimiter=edition.delimiter, quoted=quoted, columns=columns,
        encoding=encoding,
    )  # fmt: skip
    places = source.require(*names)
    for chunk in source.chunks():
        yield Chunk(chunk.lines, [chunk.columns[place] for place in places])


def _add(chunk: Chunk, file: Path, loader: Loader, action: Action) -> None:
    users, items, cells, times = chunk.columns
    is_text = action == "comment"
    loader.add(
        Batch(
            file=file,
            lines=chunk.lines,
            times=times,
            time_unit="s",
            actions=action,
            users=users,
            items=items,
            values=None if is_text else cells,
            extras=[{"text": cell} for cell in cells] if is_text else None,
        )
    )


def _load_movies(file: Path, edition: _Edition, loader: Loader) -> None:
    names = ("movieId", "title", "genres")
    for chunk in _chunks(file, edition, names, loader, _encoding(file)):
        for line, movie, title, genres in zip(chunk.lines, *chunk.columns, strict=True):
            loader.add_item(movie, _info(title, genres.split("|")), file, line)


def _load_movies_100k(file: Path, loader: Loader) -> None:
    columns = ("movieId", "title", "released", "video", "url", *_GENRES_100K)
    source = Delimited(
        file, loader.report, delimiter="|", quoted=False, columns=columns, encoding=_encoding(file)
    )
    for chunk in source.chunks():
        for line, movie, title, _, _, _, *flags in zip(chunk.lines, *chunk.columns, strict=True):
            genres = [g for g, flag in zip(_GENRES_100K, flags, strict=True) if flag == "1"]
            loader.add_item(movie, _info(title, genres), file, line)


def _info(title: str, genres: list[str]) -> dict[str, object]:
    info: dict[str, object] = {"title": title} if title else {}
    if categories := [genre for genre in genres if genre not in _NO_GENRES]:
        info["categories"] = categories
    return info


def _encoding(file: Path) -> str:
    """The older editions are in Latin-1, the others in UTF-8."""
    with reading(file) as text:
        try:
            for line in text:
                line.encode()
        except UnicodeEncodeError:
            return "latin-1"
    return "utf-8"
