"""Provenance for Globus Compute: every task leaves a validated RO-Crate behind."""

__version__ = "0.1.0"
