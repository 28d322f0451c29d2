"""One self-contained HTML page about one run: what ran, what failed, where the time and the machines went.

:mod:`~prov_worker.run.report.model_builder` reads the steps once, :mod:`~prov_worker.run.report.figures` computes what
the page says of them, :mod:`~prov_worker.run.report.advice` what to do about it, :mod:`~prov_worker.run.report.page`
writes it. ``assets`` holds its template, style and scripts, which become part of the page.
"""
