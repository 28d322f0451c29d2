"""An input against the schema."""

from __future__ import annotations

from collections.abc import Iterator

from prov_worker.flow.checks import CHECKS
from prov_worker.flow.findings import ERROR, NOTE, WARNING, Draft
from prov_worker.flow.schema_problems import registry, why_not
from prov_worker.flow.states import Flow
from prov_worker.humanize import clipped


def check_input(flow: Flow) -> Iterator[Draft]:
    """Yield where the input does not follow the schema; a format, such as ``uuid``, is a warning."""
    document = flow.input
    if document is None:
        return
    if not isinstance(document.value, dict):
        yield Draft(ERROR, document, (), "the input of a flow is an object")
        return
    if flow.schema is None:
        yield Draft(NOTE, document, (), "no input schema: the input was not checked")
        return
    if flow.schema_problems:
        return  # they are the schema's findings
    from jsonschema import Draft202012Validator

    checker = Draft202012Validator(
        flow.schema.value, format_checker=Draft202012Validator.FORMAT_CHECKER, registry=registry()
    )
    try:
        for problem in checker.iter_errors(document.value):
            level = WARNING if problem.validator == "format" else ERROR
            yield Draft(level, document, tuple(problem.absolute_path), clipped(problem.message, 200))
    except Exception as error:  # the library's own kinds differ between releases
        yield Draft(ERROR, flow.schema, (), why_not(error))


CHECKS.add("input", check_input, rank=90)
