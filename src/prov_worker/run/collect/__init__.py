"""Collect crates from endpoints: rsync over ssh, Globus Transfer."""
