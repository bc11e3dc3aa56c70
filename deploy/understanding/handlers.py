"""Loading the handlers, with errors as the command line shows them."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.connections import settings_file
from deploy.errors import HeadwaterError
from jobs.settings import load
from jobs.understand_settings import Understand
from udfs.embedding import Encoder, EncoderSettings
from udfs.errors import UnderstandingError
from udfs.handler import Embedded, Handler
from udfs.settings import AnalysisSettings, analyses


@contextmanager
def spoken() -> Iterator[None]:
    """Errors of the handlers become errors of the command line."""
    try:
        yield
    except UnderstandingError as error:
        raise HeadwaterError(str(error)) from error
    except ModuleNotFoundError as error:
        message = f"{error.name} is not installed: pip install 'headwater[understand]'."
        raise HeadwaterError(message) from error


def settings_of(
    config: Path | None, model: str | None, heads: Path | None, overrides: Sequence[str]
) -> Understand:
    """Settings of the job `understand`, from the file it reads, with what is given here on top.

    Args:
        config: The file; None is `headwater.toml` in this folder, if there is one.
        model: Another encoder.
        heads: Another folder of heads.
        overrides: `key=value` or `table.key=value`.

    Raises:
        SettingsError: One of them is not legal.
    """
    given = [f"encoder.model={json.dumps(model)}"] if model else []
    given += [f"analysis.heads={json.dumps(str(heads))}"] if heads else []
    return load(Understand, settings_file(config), [*overrides, *given])


def loaded_encoder(settings: EncoderSettings) -> Encoder:
    """An encoder that is ready.

    Raises:
        HeadwaterError: It cannot be loaded.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with spoken():
        encoder = Encoder(settings)
        encoder.load()
    return encoder


def loaded(
    encoding: EncoderSettings, analysis: AnalysisSettings
) -> tuple[Encoder, dict[str, Handler[Embedded, Any]]]:
    """An encoder and the handlers behind it, all ready.

    Raises:
        HeadwaterError: One of them cannot be loaded.
    """
    encoder = loaded_encoder(encoding)
    with spoken():
        handlers = analyses(analysis, encoder)
        for handler in handlers.values():
            handler.load()
    return encoder, handlers
