"""The slot and the journal: what a worker leaves behind while it runs, and how it is read.

A *slot* is a small memory-mapped file in node-local memory that says which task a worker is running right now. A
*journal* is an append-only file per worker beside the crates that says what every task was and how it ended. Together
they are the one truth of a task: crates can be rebuilt from them. Standard library only; the writing side runs inside
workers.
"""

#: Version of the lines, in the first line of a journal: see :mod:`prov_worker.spool.records`.
VERSION = 1
