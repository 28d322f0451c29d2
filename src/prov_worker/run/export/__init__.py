"""Exports of a run: samples, FlowCept, W3C PROV."""
