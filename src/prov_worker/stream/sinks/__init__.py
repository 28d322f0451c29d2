"""Sinks: one module per kind, which registers itself (:data:`prov_worker.stream_url.SINKS`)."""
