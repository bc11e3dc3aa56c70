"""The words of the report page, from one file a language."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


@cache
def words(language: Language) -> dict[str, Any]:
    """Sentences by key; under `features` what the features of the ranking say."""
    file = Path(__file__).parent / f"words.{language}.toml"
    return tomllib.loads(file.read_text("utf-8"))
