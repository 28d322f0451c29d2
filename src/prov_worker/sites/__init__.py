"""Templates of endpoints for known machines: what they ask for, what the daemon makes of them, and how they get there.

The templates themselves are data, in ``endpoint_configs/``.
"""
