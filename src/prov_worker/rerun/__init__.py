"""Run a step again from its crate: shown first, run in a process of its own, recorded, and compared with the first."""
