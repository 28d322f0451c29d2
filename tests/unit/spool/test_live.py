"""Which tasks run, by live files."""

from __future__ import annotations

import time
from pathlib import Path

from prov_worker.spool.live import VERSION, running_tasks, write_live


def test_tasks_of_agents_that_are_not_late(tmp_path: Path) -> None:
    spool = tmp_path / ".spool"
    spool.mkdir(0o700)
    now = time.time()
    for name, written, tasks in (("a", now, ["1", "2"]), ("b", now - 20, ["3"]), ("late", now - 40, ["4"])):
        document = {"v": VERSION, "written": written, "renew_s": 2.0, "tasks": [{"task": task} for task in tasks]}
        write_live(str(spool / f"{name}.live"), document)
    write_live(str(spool / "later.live"), {"v": VERSION + 1, "written": now, "renew_s": 2.0, "tasks": [{"task": "5"}]})
    for name, text in (("damaged", "{"), ("list", "[]"), ("none", f'{{"v": {VERSION}}}')):
        (spool / f"{name}.live").write_text(text)
    assert running_tasks(str(tmp_path)) == {"1", "2", "3"}
    assert running_tasks(str(tmp_path / "nothing")) == set()
