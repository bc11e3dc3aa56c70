"""Netflix Prize: lines `MOVIE:` and below each `user,rating,YYYY-MM-DD`.

Read from `training_set/mv_*.txt` or `combined_data_*.txt`; titles from `movie_titles.txt` or
`.csv`, Latin-1, with commas in them. The times are days, so rows of a day keep the file's order.
"""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from deploy.replay.batch import Batch
from deploy.replay.files import CHUNK_ROWS, find, head, reading
from deploy.replay.loader import Loader
from deploy.replay.report import SourceError
from operators.events import Action

PREFIX: Final = "nf"
USUAL: Final[Action | None] = "rating"

_MOVIE = re.compile(r"(\d+):$")
_COLUMNS = 3


def recognise(place: Path) -> bool:
    """Whether the first file begins with a movie."""
    files = _files(place)
    return bool(files) and bool(_MOVIE.match((head(files[0]) or [""])[0]))


def load(place: Path, loader: Loader) -> None:
    """Read titles, then ratings, files in the order of their names.

    Raises:
        SourceError: If there are no ratings, or a file cannot be read.
    """
    files = _files(place)
    if not files:
        msg = f"{place} has no mv_*.txt and no combined_data_*.txt, plain or .gz"
        raise SourceError(msg)
    titles = find(place, "movie_titles.txt", "movie_titles.csv") or find(
        files[0].parent.parent, "movie_titles.txt", "movie_titles.csv"
    )
    if titles:
        _load_titles(titles, loader)
    else:
        loader.report.notes.append("there is no movie_titles.txt: items have ids for titles")
    for batch in _batches(files, loader):
        loader.add(batch)


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    folders = (place, place / "training_set")
    patterns = ("combined_data_*.txt*", "mv_*.txt*")
    found = [f for folder in folders for pattern in patterns for f in folder.glob(pattern)]
    return sorted(found, key=lambda file: (len(file.name), file.name))


def _load_titles(file: Path, loader: Loader) -> None:
    with reading(file, "latin-1") as text:
        for number, line in enumerate(text, 1):
            movie, *rest = line.rstrip("\r\n").split(",", 2)
            if len(rest) < 2:
                loader.report.skip(file, number, "expected `movie,year,title`")
                continue
            year, title = rest
            info = {"title": title, "attributes": {"year": int(year)} if year.isdigit() else {}}
            loader.add_item(movie, info, file, number)


def _batches(files: list[Path], loader: Loader) -> Iterator[Batch]:
    for file in files:
        movie = ""
        with reading(file) as text:
            numbered = enumerate(text, 1)
            while lines := list(islice(numbered, CHUNK_ROWS)):
                rows: list[tuple[int, str, str, str, str]] = []
                for number, line in lines:
                    cells = line.rstrip("\r\n").split(",")
                    if heading := _MOVIE.match(cells[0]):
                        movie = heading[1]
                    elif len(cells) == _COLUMNS and movie:
                        rows.append((number, movie, *cells))  # type: ignore[arg-type]
                    elif line.strip():
                        found = "a row above the first movie" if not movie else line.strip()[:80]
                        reason = f"expected `movie:` or `user,rating,date`, got {found!r}"
                        loader.report.skip(file, number, reason)
                if rows:
                    yield _batch(file, rows)


def _batch(file: Path, rows: list[tuple[int, str, str, str, str]]) -> Batch:
    numbers, movies, users, ratings, dates = zip(*rows, strict=True)
    return Batch(
        file=file,
        lines=numbers,
        times=dates,
        time_unit="iso",
        actions="rating",
        users=users,
        items=movies,
        values=ratings,
    )
