"""The agent: one process pair per node, user and crate directory, beside the workers and never in them.

One process samples and watches, with work of microseconds, so that no load starves it. The other finishes records and
writes crates at a lower priority, so that it takes little from the workers. Both start at the workers' priority.
"""
