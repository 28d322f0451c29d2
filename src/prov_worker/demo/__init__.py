"""A small workload on an endpoint inside this process: what the product does, in a minute and without an account."""
