"""How a data set is to be read: a struct, filled by code, by the command line or by TOML."""

import codecs
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta, Struct, structs

from deploy.replay.report import SourceError
from operators.events import Action, Item

Format = Literal["movielens", "amazon", "taobao", "netflix", "yoochoose", "csv", "jsonl"]
TimeUnit = Literal["s", "ms", "us", "iso"]

FORMATS: tuple[str, ...] = get_args(Format)
EXTRA_FIELDS = ("event_id", "text", "language", "surface", "impression_id", "consent", "context")
EVENT_FIELDS = ("user_id", "session_id", "item_id", "event_time", "action", "value", *EXTRA_FIELDS)
ITEM_TEXTS = ("title", "description", "creator", "image_uri", "audio_uri")
ITEM_LISTS = ("categories", "tags")
ITEM_FIELDS = (*ITEM_TEXTS, *ITEM_LISTS, "price")


class ItemFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A catalogue in a file of its own, beside a csv or jsonl data set.

    Attributes:
        file: The file; CSV, or JSON lines if its first line is an object.
        map: Field of an item → column; `item_id` and any of `ITEM_FIELDS` and `language`.
        delimiter: As in `Options`.
        header: As in `Options`.
    """

    file: str
    map: dict[str, str] = {}
    delimiter: str | None = None
    header: bool = True

    def __post_init__(self) -> None:
        _check_fields(self.map, ("item_id", *ITEM_FIELDS, "language"))
        _check_delimiter(self.delimiter)


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a data set is to be read. All but the first seven fields concern csv and jsonl only.

    Attributes:
        format: One of `FORMATS`; None means by content.
        tenant: Tenant of every record.
        strict: Stop at the first bad row instead of counting it.
        stars_max: Top of the data's scale of ratings; values come out as
            (value - stars_min) * 5 / (stars_max - stars_min).
        stars_min: What is worth no star at all: 0, unless the scale goes below it.
        tags: Read the free-text tags of MovieLens as comments.
        now_ms: Rows later than this (plus ten minutes) are bad, as they are for the job; None
            lets every time pass.
        map: Field of an event (`EVENT_FIELDS`) or of its item (`ITEM_FIELDS`) → column. A column
            that is named like a field needs no entry. Without a header the first column is `0`;
            in JSON lines `a.b` finds a value inside an object.
        action: Action of the rows, where no column tells it.
        actions: Word in the action column → action.
        time_unit: Unit of `event_time`; `iso` without an offset is UTC.
        file_order: The rows have no times; each gets a second of its own, in the file's order.
        delimiter: Between columns, may have more than one character; None means by the first line.
        header: Whether the first line names the columns.
        encoding: Of the files.
        list_separator: Between the parts of `categories` and `tags`.
        items: A catalogue in a file of its own.
    """

    format: Format | None = None
    tenant: str = "default"
    strict: bool = False
    stars_max: float = 5.0
    stars_min: float = 0.0
    tags: bool = False
    now_ms: int | None = None
    map: dict[str, str] = {}
    action: Action | None = None
    actions: dict[str, Action] = {}
    time_unit: TimeUnit = "s"
    file_order: bool = False
    delimiter: str | None = None
    header: bool = True
    encoding: str = "utf-8"
    list_separator: Annotated[str, Meta(min_length=1)] = "|"
    items: ItemFile | None = None

    def __post_init__(self) -> None:
        _check_fields(self.map, (*EVENT_FIELDS, *ITEM_FIELDS))
        _check_delimiter(self.delimiter)
        # Every record has the tenant: better refused here than as often as there are rows.
        msgspec.convert(
            {"item_id": "-", "title": "-", "event_time": 0, "tenant": self.tenant}, Item
        )
        try:
            codecs.lookup(self.encoding)
        except LookupError as error:
            msg = f"encoding {self.encoding!r} is unknown; utf-8, latin-1 and gbk are known"
            raise ValueError(msg) from error
        if not 0 < self.stars_max < float("inf"):
            msg = f"stars_max is {self.stars_max}; it is above 0, such as 10 for 1 to 10 stars"
            raise ValueError(msg)
        if not float("-inf") < self.stars_min < self.stars_max:
            msg = f"stars_min is {self.stars_min}; it lies below stars_max, {self.stars_max}"
            raise ValueError(msg)

    @property
    def maps_columns(self) -> bool:
        """Whether anything is set that only a csv or jsonl file can mean."""
        return bool(self.map or self.action or self.actions or self.items)


def read_options(file: Path) -> Options:
    """Read options from a TOML file; a relative `items.file` is one beside it.

    Raises:
        SourceError: If the file cannot be read, or holds what `Options` does not.
    """
    try:
        options = msgspec.toml.decode(file.read_bytes(), type=Options)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"mapping file {file}: {error}; legal keys are {', '.join(Options.__struct_fields__)}"
        raise SourceError(msg) from error
    if options.items is None:
        return options
    items = structs.replace(options.items, file=str(file.parent / options.items.file))
    return structs.replace(options, items=items)


def with_settings(options: Options, **settings: object) -> Options:
    """Options with the given fields replaced; those given as None stay as they are.

    Raises:
        SourceError: If a value is not legal.
    """
    fields = structs.asdict(options) | {k: v for k, v in settings.items() if v is not None}
    try:
        return msgspec.convert(fields, Options, from_attributes=True)
    except msgspec.ValidationError as error:
        msg = f"option: {error}"
        raise SourceError(msg) from error


def parse_pairs(option: str, pairs: Iterable[str]) -> dict[str, str]:
    """Parse `name=value` arguments.

    >>> parse_pairs("--map", ["user_id=uid", "value=a=b"])
    {'user_id': 'uid', 'value': 'a=b'}

    Raises:
        SourceError: If a pair has no `=`, or an empty side.
    """
    parsed = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if not name or not value:
            msg = f"{option} {pair}: expected NAME=VALUE"
            raise SourceError(msg)
        parsed[name] = value
    return parsed


def _check_fields(mapping: dict[str, str], legal: tuple[str, ...]) -> None:
    if unknown := [name for name in mapping if name not in legal]:
        msg = f"no field is named {', '.join(unknown)}; fields are {', '.join(legal)}"
        raise ValueError(msg)


def _check_delimiter(delimiter: str | None) -> None:
    if delimiter is not None and (not delimiter or set(delimiter) & set('"\r\n')):
        msg = f"delimiter is {delimiter!r}; it has characters, none of them a quote or a line end"
        raise ValueError(msg)
