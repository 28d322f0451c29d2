"""Source is shown only if it ran, and a function is identified by what it does, on every Python at hand."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prov_worker.agent.function_source import source_of
from prov_worker.recorder.functions import function_fields

SOURCE = Path(__file__).parents[3] / "src"
DECORATED = """import functools
@functools.lru_cache(maxsize=2)
def f(x):
    '''Say.'''
    return -x ** 2
"""
DECO = """import functools
def deco(f):
    @functools.wraps(f)
    def inner(*a): return f(*a)
    return inner
@deco
def f(x):
    return x + 5
"""
#: Pairs of modules that define ``f``, and whether both are one function.
PAIRS: dict[str, tuple[str, str, bool]] = {
    "names": ("def f(x, y):\n    return max(x, y)\n", "def f(x, y):\n    return min(x, y)\n", False),
    "constants": ("def f(x):\n    return x * 2\n", "def f(x):\n    return x * 3\n", False),
    "types of constants": ("def f(x):\n    return x + 1\n", "def f(x):\n    return x + 1.0\n", False),
    "truth and number": ("def f():\n    return True\n", "def f():\n    return 1\n", False),
    "defaults": ("N = 1\ndef f(x=N):\n    return x\n", "N = 2\ndef f(x=N):\n    return x\n", False),
    "free variables": (
        "def make(n):\n    def g(x):\n        return x * n\n    return g\nf = make(2)\n",
        "def make(n):\n    def g(x):\n        return x * n\n    return g\nf = make(3)\n",
        False,
    ),
    "nested code": (
        "def f(x):\n    def g(y):\n        return y - 1\n    return [g(v) for v in x]\n",
        "def f(x):\n    def g(y):\n        return y - 2\n    return [g(v) for v in x]\n",
        False,
    ),
    "sets": (
        "def f(x):\n    return x in {'alpha', 'beta', 'gamma', 'delta'}\n",
        "\n\ndef f(x):\n    return x in {'alpha', 'beta', 'gamma', 'delta'}\n",
        True,
    ),
    "members of sets": (
        "def f(x):\n    return x in {'alpha', 'beta'}\n",
        "def f(x):\n    return x in {'alpha', 'gamma'}\n",
        False,
    ),
    "lines and comments": (
        "def f(x):\n    return f'{x:>{10}} of ' f'{x!r}' + u'ä' # sum\n",
        "import os\n\n\ndef f(x):\n    # the sum\n    return (f'{x:>{10}} of ' f'{x!r}' + 'ä')\n",
        True,
    ),
    "classes within": (
        "def f():\n    class K:\n        def m(self):\n            self.a = self.c = self.b = 1\n    return K\n",
        "\n\n\ndef f():\n    class K:\n        def m(self):\n            self.a = self.c = self.b = 1\n    return K\n",
        True,
    ),
    "decorated": (DECORATED, f"import functools\nif True:\n{textwrap.indent(DECORATED, '    ')}", True),
}
SCRIPT = """
import json, sys
from pathlib import Path
from prov_worker.agent.function_source import source_of
from prov_worker.recorder.functions import function_fields
versions = {}
for path in sorted(Path(sys.argv[1]).glob("*.py")):
    space = {"__name__": "sample"}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), space)
    fields = function_fields(space["f"], None)
    source = source_of(fields)
    assert source.absent is None, (path, source)
    versions[path.stem] = [source.sha256, fields["sha256"]]
print(json.dumps(versions))
"""


def pythons() -> list[str]:
    """Interpreters of this machine that the product supports, this one first; one of each minor version."""
    by_version = {sys.version_info[:2]: sys.executable}
    names = [Path(folder) / f"python3.{minor}" for minor in range(10, 15) for folder in os.get_exec_path()]
    names += sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"))
    for name in names:
        if not os.access(name, os.X_OK):
            continue
        done = subprocess.run([name, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True)
        major, _, minor = done.stdout.strip().partition(" ")
        if done.returncode == 0 and minor.isdigit() and int(minor) >= 10:
            by_version.setdefault((int(major), int(minor)), str(name))
    return list(by_version.values())


def versions(python: str, seed: int, folder: Path) -> dict[str, list[str]]:
    environment = {"PYTHONPATH": str(SOURCE), "PYTHONHASHSEED": str(seed), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [python, "-B", "-c", SCRIPT, folder], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, list[str]] = json.loads(done.stdout)
    return answer


def test_versions_tell_functions_apart_on_every_python_and_seed(tmp_path: Path) -> None:
    for number, (left, right, _) in enumerate(PAIRS.values()):
        (tmp_path / f"{number}-left.py").write_text(left, encoding="utf-8")
        (tmp_path / f"{number}-right.py").write_text(right, encoding="utf-8")
    runs = [[versions(python, seed, tmp_path) for seed in (0, 1, 2)] for python in pythons()]
    for of_python in runs:
        assert of_python[0] == of_python[1] == of_python[2]
    # free variables with a cell each are proved by their trees, which all versions agree on
    for key in runs[0][0]:
        assert len({of_python[0][key][0] for of_python in runs}) == 1, key
    for of_python in runs:
        for number, (name, (_, _, equal)) in enumerate(PAIRS.items()):
            left, right = of_python[0][f"{number}-left"], of_python[0][f"{number}-right"]
            assert (left[0] == right[0], left[1] == right[1]) == (equal, equal), name


def test_the_indentation_of_a_docstring_is_not_part_of_the_tree(tmp_path: Path) -> None:
    text = "def f():\n    '''Say.\n\n    More.\n    '''\n"
    left = source_of(function_fields(load(tmp_path / "left.py", text), None))
    right = source_of(function_fields(load(tmp_path / "right.py", f"if 1:\n{textwrap.indent(text, '    ')}"), None))
    assert left.sha256 == right.sha256 is not None


def load(path: Path, text: str) -> Callable[..., Any]:
    path.write_text(textwrap.dedent(text))
    space: dict[str, Any] = {"__name__": "sample"}
    exec(compile(path.read_text(), str(path), "exec", dont_inherit=True), space)
    f: Callable[..., Any] = space["f"]
    return f


def test_source_is_shown_if_it_compiles_to_what_ran(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    text = """
        def f(x, password="hunter2"):
            import math
            return math.sin(x) * 0.1  # sine
        """
    line = function_fields(load(path, text), None)
    source = source_of(line)
    lines = ["def f(x, password=[redacted]):", "    import math", "    return math.sin(x) * 0.1  # sine"]
    assert source.text == "\n".join(lines) + "\n"
    assert source.sha256 is not None
    # edited while it ran: names and constants differ, instructions do not
    path.write_text(path.read_text().replace("math.sin(x) * 0.1", "math.cos(x) * 0.9"))
    edited = source_of(line)
    assert (edited.text, edited.sha256) == (None, None)
    assert "is not what ran" in (edited.absent or "")
    assert "AllCodeStrategies" in (edited.absent or "")


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"form": "0" * 64}, "is not what ran"),
        ({"line": 1}, "is not what ran"),
        ({"file": "relative.py"}, "in no file"),
        ({"file": "/nonexistent/none.py"}, "No such file or directory"),
        ({"python": "cpython 3.9"}, "cpython 3.9"),
        ({"form": None, "kind": "built-in function"}, "built-in function"),
    ],
)
def test_source_that_is_not_proved_is_absent_with_its_reason(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    line = function_fields(load(tmp_path / "script.py", "import os\ndef f():\n    return os.sep\n"), None)
    source = source_of({**line, **change})
    assert (source.text, source.sha256) == (None, None)
    assert reason in (source.absent or "")


def test_a_file_that_never_answers_has_no_source(tmp_path: Path) -> None:
    line = function_fields(load(tmp_path / "script.py", "def f(): ...\n"), None)
    os.mkfifo(tmp_path / "fifo.py")
    for path in (str(tmp_path / "fifo.py"), "/dev/zero"):
        assert "is not a regular file" in (source_of({**line, "file": path}).absent or "")


def test_a_file_that_is_not_python_has_no_source(tmp_path: Path) -> None:
    line = function_fields(load(tmp_path / "script.py", "def f(): ...\n"), None)
    (tmp_path / "script.py").write_text("def f(:\n")
    assert source_of(line).text is None
    (tmp_path / "script.py").write_bytes(b"\xff\xfe\x00")
    assert source_of(line).text is None


@pytest.mark.parametrize(
    "text, kind, shown",
    [
        ("f = lambda x=1: x + 3\n", "lambda", "lambda x=1: x + 3"),
        ("g, f = (lambda x: x + 1), (lambda x: x + 2)\n", "lambda", "lambda x: x + 2"),
        ("import functools\ndef g(x): return x\nf = functools.partial(g, 41)\n", "partial of function", "def g(x)"),
        ("class K:\n    def m(self, x):\n        return x\nf = K().m\n", "method", "def m(self, x)"),
        (
            "class K:\n    @classmethod\n    def m(cls, x):\n        return x\nf = K.m\n",
            "method",
            "@classmethod\ndef m",
        ),
        ("class K:\n    def __call__(self):\n        return 1\nf = K()\n", "callable object", "def __call__(self)"),
        ("async def f():\n    return 1\n", "coroutine function", "async def f()"),
        ("def f():\n    yield 1\n", "generator function", "def f()"),
        ("async def f():\n    yield 1\n", "asynchronous generator function", "async def f()"),
        (
            DECO,
            "decorated function",
            "@deco\ndef f(x)",
        ),
    ],
)
def test_a_callable_says_what_it_is_and_shows_the_function(tmp_path: Path, text: str, kind: str, shown: str) -> None:
    line = function_fields(load(tmp_path / "script.py", text), None)
    assert line["kind"] == kind
    source = source_of(line)
    assert (source.text or "").startswith(shown), source
    assert source.sha256


def test_what_a_partial_gives_is_part_of_the_function() -> None:
    versions = {
        json.dumps([function_fields(functools.partial(json.dumps, **options), None)["sha256"]])
        for options in ({"indent": 1}, {"indent": 2}, {"indent": 2})
    }
    assert len(versions) == 2
