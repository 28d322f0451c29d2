"""What a trigger does with a folder that has settled."""
