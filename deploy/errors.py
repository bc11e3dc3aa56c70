"""The base of every error that the command line shows as a sentence instead of a traceback."""

from operators.errors import HeadwaterError

__all__ = ["HeadwaterError"]
