"""A run crate into a repository: its metadata as the repository wants them, and the crate as one zip file."""
