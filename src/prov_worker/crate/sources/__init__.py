"""Where step crates are: directories, zip files and packs, read without trusting what they say."""

from prov_worker.crate.sources.base import Source, digest, read, read_end
from prov_worker.crate.sources.directories import DirectorySource, find_crates
from prov_worker.crate.sources.lookup import (
    Refuse,
    candidates,
    each_source,
    find_sources,
    in_zip,
    is_run,
    is_there,
    need_directory,
    need_zip,
    run_sources,
    source_of,
    sources_at,
)
from prov_worker.crate.sources.packs import PackSource
from prov_worker.crate.sources.triggers import is_trigger
from prov_worker.crate.sources.zips import ZipSource, check_names, open_zip, zip_sources

__all__ = [
    "DirectorySource",
    "PackSource",
    "Refuse",
    "Source",
    "ZipSource",
    "candidates",
    "check_names",
    "digest",
    "each_source",
    "find_crates",
    "find_sources",
    "in_zip",
    "is_run",
    "is_there",
    "is_trigger",
    "need_directory",
    "need_zip",
    "open_zip",
    "read",
    "read_end",
    "run_sources",
    "source_of",
    "sources_at",
    "zip_sources",
]
