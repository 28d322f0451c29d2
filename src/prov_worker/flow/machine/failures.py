"""What ends a state otherwise than well."""

from __future__ import annotations

#: The names of errors that a Catch can list (https://docs.globus.org/api/flows/authoring-flows/exceptions/).
UNABLE = "ActionUnableToRun"
FAILED = "ActionFailedException"
TIMEOUT = "ActionTimeout"
#: What cannot be evaluated in a state that is not an action; the name is the States Language's.
PARAMETERS = "States.ParameterPathFailure"
RESULT = "States.ResultPathMatchFailure"
NO_CHOICE = "States.NoChoiceMatched"
#: Catches each of them.
ALL = "States.ALL"


class StateError(Exception):
    """A state that fails.

    Args:
        name: of the error, which a Catch may list.
        cause: why, for a person.
    """

    def __init__(self, name: str, cause: str) -> None:
        super().__init__(f"{name}: {cause}")
        self.name = name
        self.cause = cause


class EvaluationError(ValueError):
    """A path or an expression that gives no value: the message says why."""
