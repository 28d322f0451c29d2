"""The state machine of Globus Flows: what each state reads, writes and leads to, without any service."""
