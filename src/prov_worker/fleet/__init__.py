"""Several endpoints of one host, as a file names them: made, started, watched, and shown together.

Nothing here touches an endpoint that the file does not name, that belongs to another host, or that was not created by
this package.
"""

from __future__ import annotations

from prov_worker.errors import MissingExtraError

try:
    import pydantic  # noqa: F401
except ImportError as error:
    raise MissingExtraError("a fleet needs pydantic", "fleet", error) from None
