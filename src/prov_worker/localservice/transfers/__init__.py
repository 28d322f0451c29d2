"""Globus Transfer as the local service has it: directories that stand for collections, and tasks between them.

It is a rehearsal: made after Globus' documentation and the SDK, and not compared with the hosted service.
"""
