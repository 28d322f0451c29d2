"""Globus Timers as the local service has it: transfers and runs of flows, begun at their times.

It is a rehearsal: made after Globus' documentation, the SDK and the command line, and not compared with the hosted
service.
"""
