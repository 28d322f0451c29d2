"""Commands on single crates: list, show, check, plot, recover."""
