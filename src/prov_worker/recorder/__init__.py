"""What runs inside a worker: it notes one task at a time in slot and journal, in microseconds, and never raises.

Standard library only, because it runs in whatever environment a site's ``worker_init`` reaches.
"""
