"""What can go wrong before a model runs at all; failures of single texts are `handler.Failure`."""


class UnderstandingError(Exception):
    """Its text says what was found, what is legal and what to do."""


class ModelError(UnderstandingError):
    """A model, head or map cannot be found, loaded, or used with the others."""
