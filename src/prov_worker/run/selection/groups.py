"""Tasks of task groups, kept beside a run: no crate names its task group, as the service does not tell endpoints.

``RUN.groups.json``, beside RUN and not in it, since a sealed run is not written to: the ids of tasks by group, as the
service gave them last.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from prov_worker.errors import InputError
from prov_worker.files import write_file

_SUFFIX = ".groups.json"
_MAX_BYTES = 256 << 20


def kept_at(run: Path) -> Path:
    """Return where the groups of a run are kept."""
    whole = run.resolve()
    return whole.with_name(f"{whole.name}{_SUFFIX}")


def read_kept(run: Path) -> dict[str, frozenset[str]]:
    """Return the tasks that are kept beside a run, by group.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    path = kept_at(run)
    try:
        with path.open("rb") as stream:
            content = json.loads(stream.read(_MAX_BYTES))
        return {str(group): frozenset(map(str, tasks)) for group, tasks in content.items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, AttributeError):
        raise InputError(f"{path}: is not a JSON object with the tasks of each group") from None


def keep(run: Path, group: str, tasks: Collection[str]) -> None:
    """Keep the tasks of a group beside a run.

    Raises:
        OSError: there is no place for it.
        InputError: what is there is something else.
    """
    groups = {**read_kept(run), group: frozenset(tasks)}
    write_file(str(kept_at(run)), json.dumps({key: sorted(groups[key]) for key in sorted(groups)}))
