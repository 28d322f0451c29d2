"""Step crates: from what is known of one task to an RO-Crate on disk, and back.

The only package that knows the terms of RO-Crate. :mod:`~prov_worker.crate.writer` writes a crate,
:mod:`~prov_worker.crate.reader` opens one, :mod:`~prov_worker.crate.check` judges one and
:mod:`~prov_worker.crate.add_plot` draws into one.
"""
