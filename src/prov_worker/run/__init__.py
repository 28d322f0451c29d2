"""Runs: from many step crates to one record of a run, to ask, to look at and to hand on.

:mod:`~prov_worker.run.api` opens a run, :mod:`~prov_worker.run.assemble` makes a run crate,
:mod:`~prov_worker.run.verify` finds what changed in one, :mod:`~prov_worker.run.index` and
:mod:`~prov_worker.run.query` answer questions about many.
"""
