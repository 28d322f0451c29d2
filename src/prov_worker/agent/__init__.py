"""The agent: one process pair per node, user and crate directory, beside the workers and never in them.

One process samples and watches, at normal priority and with work of microseconds, so that no load starves it. The
other finishes records and writes crates at the lowest priority, so that it takes nothing from the workers.
"""
