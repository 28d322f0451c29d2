"""The probes, one file each, which has the probe's name and registers it."""
