"""Makes one sealed run crate of many step crates.

Everything happens in a hidden directory beside the target, which gets its name when it is complete. One crate is in
memory at a time; what is needed of all of them is kept in a temporary database. What is damaged is named and left out,
the rest is assembled.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.packs.format import is_pack
from prov_worker.crate.packs.raw import RawZip
from prov_worker.crate.sources import candidates
from prov_worker.errors import InputError
from prov_worker.files import place_new
from prov_worker.run.assembly.draft import Draft
from prov_worker.run.assembly.examined import Examiner
from prov_worker.run.assembly.model import Assembled, Options
from prov_worker.run.assembly.seal import ZIP_MARK, seal_zip
from prov_worker.run.assembly.stored import StoredCrates
from prov_worker.run.assembly.workflow import read_workflow
from prov_worker.run.index.mapping import Mapper, map_serial
from prov_worker.run.index.pieces import pieces

#: Other processes are not worth their start for fewer pieces.
_FEW_PIECES = 8
#: Crates of a piece: what is read of several pieces is in memory at a time.
_PER_PIECE = 100


def assemble(
    directories: Sequence[Path],
    target: Path,
    options: Options | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    mapper: Mapper = map_serial,
) -> Assembled:
    """Make a run crate.

    Args:
        directories: step crates, directories of them, zips, or run crates whose steps are taken again.
        target: directory or, with ``options.zip``, file to make.
        options: how.
        progress: called with the number of crates done and their total; a pack counts as one.
        mapper: spreads the reading of packs whose crates go into a zip.

    Raises:
        InputError: a directory or the workflow cannot be read, no attempt is selected, the target exists, or cannot be
            written.
        ProvWorkerError: the seal cannot be signed. Nothing is left behind.
    """
    options = options or Options()
    target = Path(os.path.abspath(target))
    _check_target(target, options)
    workflow = read_workflow(options.workflow) if options.workflow is not None else None
    if options.sign is not None and not options.sign.is_file():
        raise InputError(f"{options.sign}: no such key")
    paths = [path for directory in directories for path in candidates(directory) if path.absolute() != target]
    if not paths:
        raise InputError(f"{', '.join(map(str, directories))}: no step crates")
    staged = target.parent / f".{target.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        staged.mkdir(mode=0o700)
        (staged / v.STEPS_DIR).mkdir()
        with closing(Draft(staged, options, workflow, target)) as draft:
            spread = _to_spread(paths, options, mapper)
            here = [path for path in paths if path not in spread]
            for number, candidate in enumerate(here):
                progress(number, len(paths))
                draft.take(candidate)
            if spread:
                for piece in mapper(
                    Examiner(options.max_file_bytes), pieces(map(str, spread), cut=True, per_piece=_PER_PIECE)
                ):
                    draft.take_piece(piece)
            progress(len(paths), len(paths))
            result = draft.finish()
        if not result.steps and draft.passed:
            raise InputError(f"{', '.join(map(str, directories))}: no attempt matches")
        if result.steps:
            _publish(staged, target, options, draft.stored)
            result.path = target
        return result
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _to_spread(paths: Sequence[Path], options: Options, mapper: Mapper) -> dict[Path, None]:
    """Return the packs that several processes read: if they are many pieces, and copied as they are stored."""
    packs = [path for path in paths if options.zip and mapper is not map_serial and is_pack(path.name)]
    count = sum(1 for _ in itertools.islice(pieces(map(str, packs), cut=True), _FEW_PIECES))
    return dict.fromkeys(packs if count == _FEW_PIECES else ())


def _check_target(target: Path, options: Options) -> None:
    if not target.parent.is_dir():
        raise InputError(f"{target.parent}: no such directory")
    if not os.path.lexists(target):
        return
    if not options.overwrite:
        raise InputError(f"{target}: already exists; give another name, or --overwrite to replace it")
    replaceable = target.is_file() if options.zip else (target / v.SEAL_FILE).is_file()
    if not replaceable or target.is_symlink():
        reason = "not a file" if options.zip else "not a run crate"
        raise InputError(f"{target}: is there, and {reason}: not replaced")


def _publish(staged: Path, target: Path, options: Options, stored: StoredCrates) -> None:
    complete = staged
    if options.zip:
        complete = staged / ".zip"
        _zip(staged, complete, stored)
    os.chmod(complete, 0o666 & ~_umask() if options.zip else 0o777 & ~_umask())
    _check_target(target, options)  # another may have made it meanwhile
    if not os.path.lexists(target):
        try:
            place_new(complete, target)
        except FileExistsError:
            raise InputError(f"{target}: was made by another program meanwhile, and is not replaced") from None
        return
    if options.zip:
        os.replace(complete, target)
        return
    # A directory with content cannot be replaced at once: the old one is renamed and goes when the new one stands.
    temporary = target.parent / f".{target.name}.old-{secrets.token_hex(4)}"
    os.rename(target, temporary)
    try:
        os.rename(complete, target)
    except OSError:
        os.rename(temporary, target)
        raise
    shutil.rmtree(temporary, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _zip(staged: Path, target: Path, stored: StoredCrates) -> None:
    with target.open("xb") as stream:
        archive = RawZip(stream)
        for parent, directories, names in os.walk(staged):
            directories.sort()
            for name in sorted(names):
                path = Path(parent) / name
                if path != target:
                    archive.add_file(str(path.relative_to(staged)), path)
        stored.copy_to(archive)
        archive.finish(ZIP_MARK + b"0" * 64)
    seal_zip(target)
