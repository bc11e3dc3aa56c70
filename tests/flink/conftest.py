"""These modules load PyFlink."""

import tests.quiet  # noqa: F401
