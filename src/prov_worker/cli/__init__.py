"""The ``prov-worker`` command: one folder per group of commands, one module per command, each thin."""
