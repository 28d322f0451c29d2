"""Pages of the documentation's site that are no files of ``docs/`` (a hook of mkdocs, https://www.mkdocs.org/user-guide/plugins/).

The README, the examples, the sites and the roles are pages where they are, and links between pages name files of the
repository; the site has them under names of its own. The reference of commands and of roles is made from the code.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
#: Files of the repository that are pages of the site, and the names that they have there.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security-policy.md",
    "RELEASING.md": "releasing.md",
    "examples/README.md": "examples/index.md",
    **{
        str(path.relative_to(ROOT)): f"{name}/{path.parent.name}.md"
        for name, pattern in (
            ("examples", "examples/*/README.md"),
            ("endpoint_configs", "endpoint_configs/*/README.md"),
            ("ansible", "ansible/roles/*/README.md"),
        )
        for path in ROOT.glob(pattern)
    },
}
_LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")
_INDEX = """# Command line

What `prov-worker COMMAND --help` prints. Exit codes are on [a page of their own](exit-codes.md).

::: mkdocs-click
    :module: prov_worker.cli.main
    :command: cli
    :prog_name: prov-worker
    :depth: 1
    :style: plain
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere, and those that are made."""
    for source, name in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        if source.startswith("ansible/"):
            text += _options(ROOT / source)
        files.append(File.generated(config, name, content=text))
    files.append(File.generated(config, "reference/cli.md", content=_INDEX))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links to pages of the site; those to other files become text."""
    by_name = {name: source for source, name in PAGES.items()}
    source = by_name.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def changed(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        if target in PAGES:
            name = PAGES[target]
        elif target.startswith("docs/"):
            name = target.removeprefix("docs/")
        else:
            return f"]({_MISSING}{target})"
        start = posixpath.dirname(page.file.src_uri) or "."
        return f"]({posixpath.relpath(name, start)}{match[2] or ''})"

    text = _LINK.sub(changed, markdown)
    # A file of the repository that is not a page: its name, without a link.
    return re.sub(rf"\[([^\]]*)\]\({_MISSING}[^)]*\)", r"\1", text)


#: Marks a link to what is not a page while links are rewritten; no file is named so.
_MISSING = "no-page:"


def _options(readme: Path) -> str:
    """Return a table of the options of a role, from its argument specification and its defaults."""
    specification = yaml.safe_load((readme.parent / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    options: dict[str, Any] = specification["argument_specs"]["main"].get("options", {})
    path = readme.parent / "defaults" / "main.yml"
    defaults = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    rows = ["", "", "## Options", "", "| option | type | default | what it is |", "|---|---|---|---|"]
    for name, about in options.items():
        kind = about.get("type", "str") + (f" of {about['elements']}" if "elements" in about else "")
        if "choices" in about:
            kind = ", ".join(f"`{choice}`" for choice in about["choices"])
        default = "must be set" if about.get("required") else _cell((defaults or {}).get(name))
        description = " ".join(str(about.get("description", "")).split()).replace("|", "\\|")
        rows.append(f"| `{name}` | {kind} | {default} | {description} |")
    return os.linesep.join([*rows, ""])


def _cell(value: object) -> str:
    """Return a default as a cell of a table."""
    if value is None or value == "":
        return ""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000).strip().removesuffix("...").strip()
    return "`" + text.replace("|", "\\|") + "`"
