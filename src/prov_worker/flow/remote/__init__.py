"""Flows at the service, Globus' or the rehearsal: deployed, run, shown, and brought back."""
