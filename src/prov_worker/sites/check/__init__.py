"""Preflight of a site on the host that its endpoint is to run on: one module a subject, each of which only looks.

What is found is a line with a remedy: compute nodes differ from login nodes, and a host may hide what it has.
"""
