"""What the tests of faults share: workers without an engine, waiting with a limit, and reading what was left behind.

``calls.py`` holds functions that are sent to workers, ``worker.py`` is the program of a worker, ``direct.py`` starts
it, ``crate_dir.py`` looks at a crate directory with its spool, slots and agent.
"""
