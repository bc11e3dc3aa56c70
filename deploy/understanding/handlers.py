"""Loading the handlers, with errors as the command line shows them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deploy.errors import HeadwaterError
from udfs.embedding import Encoder, EncoderSettings
from udfs.errors import UnderstandingError
from udfs.handler import Embedded, Handler
from udfs.settings import UnderstandingSettings, analyses


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


def loaded(settings: UnderstandingSettings) -> tuple[Encoder, dict[str, Handler[Embedded, Any]]]:
    """An encoder and the handlers behind it, all ready.

    Raises:
        HeadwaterError: One of them cannot be loaded.
    """
    encoder = loaded_encoder(settings.encoder)
    with spoken():
        handlers = analyses(settings.analysis, encoder)
        for handler in handlers.values():
            handler.load()
    return encoder, handlers
