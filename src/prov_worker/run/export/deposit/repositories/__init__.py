"""One file per kind of repository."""
