"""Where Globus Compute's web service and broker are, as its SDK takes it from the environment."""

from __future__ import annotations


def web_service_url() -> str:
    """Return URL of the REST service."""
    from globus_compute_sdk.sdk import _environments

    return str(_environments.get_web_service_url())


def other_web_service_url() -> str | None:
    """Return URL of the REST service if it is another than Globus Compute's own, such as a local one; else None."""
    from globus_compute_sdk.sdk import _environments

    url = web_service_url()
    return None if url == _environments.get_web_service_url("production") else url


def amqp_host() -> str | None:
    """Return host of the broker, which listens with TLS; None for a local service, which names its broker by itself."""
    from globus_compute_sdk.sdk import _environments

    if _environments._get_envname() == "local":
        return None
    return str(_environments.get_amqp_service_host())
