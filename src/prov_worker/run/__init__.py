"""Runs: from many step crates to one record of a run, to ask, to look at and to hand on.

:mod:`~prov_worker.run.api` opens a run, :mod:`~prov_worker.run.assembly.assemble` makes a run crate,
:mod:`~prov_worker.run.assembly.verify` finds what changed in one, :mod:`~prov_worker.run.index.build` and
:mod:`~prov_worker.run.index.query` answer questions about many.
"""
