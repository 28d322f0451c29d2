"""Readers of what libraries have stored: run by a process that the agent starts when a task has ended."""
