"""Globus Flows as the local service has it: flows that are deployed, their runs, and the actions of these.

It is a rehearsal: made after Globus' documentation and the SDK, and not compared with the hosted service.
"""
