"""What runs now, as its readers see it: asked of the agents of a crate directory, and shown in a terminal."""
