"""Parquet tables of many step crates, and queries on them."""
