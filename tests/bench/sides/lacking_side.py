"""A side whose program is not installed."""

import no_such_program  # noqa: F401
