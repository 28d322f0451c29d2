"""Packs: many step crates in one ordinary zip file, which grows crate by crate and is closed by size and age."""
