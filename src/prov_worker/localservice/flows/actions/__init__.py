"""Actions that a run can start here, by the addresses of Globus' providers."""
