"""A sandbox for templates (https://jinja.palletsprojects.com/en/stable/sandbox/) in which none runs without an end.

jinja2's own sandbox keeps a single ``range`` below 100,000; here all of a rendering together are, and what is written,
and what is multiplied.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2
from jinja2.sandbox import MAX_RANGE, SandboxedEnvironment

#: More than any service takes as an input.
_MAX_CHARACTERS = 8 << 20
_MAX_BITS = 4096


class BoundedEnvironment(SandboxedEnvironment):
    """Makes templates that end; errors of theirs say which bound was met."""

    intercepted_binops = frozenset(("*", "**"))

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        """Multiply what stays small; see :class:`jinja2.sandbox.SandboxedEnvironment`."""
        if (
            operator == "**"
            and isinstance(left, int)
            and isinstance(right, int)
            and left.bit_length() * right > _MAX_BITS
        ):
            raise jinja2.TemplateRuntimeError(f"** {right}: makes a number of too many digits")
        for some, count in ((left, right), (right, left)):
            if isinstance(some, (str, list, tuple)) and isinstance(count, int) and len(some) * count > MAX_RANGE:
                raise jinja2.TemplateRuntimeError(f"* {count}: makes more than {MAX_RANGE:,} of them")
        return super().call_binop(context, operator, left, right)


def render(template: jinja2.Template, values: Mapping[str, Any]) -> str:
    """Return what a template gives.

    Raises:
        jinja2.TemplateError: it cannot be filled in, or a bound is met.
    """
    left = MAX_RANGE

    def bounded_range(*bounds: int) -> range:
        nonlocal left
        numbers = range(*bounds)
        try:
            left -= max(1, len(numbers))
        except OverflowError:
            left = -1
        if left < 0:
            raise jinja2.TemplateRuntimeError(f"its loops take more than {MAX_RANGE:,} turns")
        return numbers

    parts, length = [], 0
    for part in template.generate({**values, "range": bounded_range}):
        length += len(part)
        if length > _MAX_CHARACTERS:
            raise jinja2.TemplateRuntimeError(f"it gives more than {_MAX_CHARACTERS >> 20} MiB")
        parts.append(part)
    return "".join(parts)
