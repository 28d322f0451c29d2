"""Run crates: assembled from step crates, sealed, verified."""
