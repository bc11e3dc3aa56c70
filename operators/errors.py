"""The base of every error that the command line shows as a sentence instead of a traceback."""


class HeadwaterError(Exception):
    """Its text says what was found, what is legal and what to do."""
