"""Commands about what runs now."""
