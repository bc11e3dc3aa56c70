"""Loads PyFlink's Table API once: it warns of its own classes while it does."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import pyflink.table  # noqa: F401
