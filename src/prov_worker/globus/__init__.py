"""Where the product meets Globus Compute: the only package that touches upstream's private names.

Nothing is imported here: :mod:`prov_worker.globus.hook` is loaded at the start of an interpreter.
"""
