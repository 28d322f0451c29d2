"""How large a step crate may be: what is larger is not a step's, and is refused before it is read or written.

The recorder and the agent stay far below: 64 arguments, 1,000 files, some thousand samples. docs/security.md has the
same numbers.
"""

from __future__ import annotations

from typing import Final

#: Metadata of a step is some 20 kB.
MAX_METADATA_BYTES: Final = 32 << 20
#: ``data/resource_usage.json`` and ``data/hardware.json``.
MAX_DATA_BYTES: Final = 64 << 20
#: A bill of materials: some 100 kB for 300 packages.
MAX_BILL_BYTES: Final = 16 << 20
#: Metadata of a run of many steps, and any file that is read as text.
MAX_RUN_BYTES: Final = 256 << 20
#: Largest file that a step crate may hold; a step lists its large outputs by reference.
MAX_FILE_BYTES: Final = 4 << 30
#: Entities in the metadata of a step.
MAX_ENTITIES: Final = 50_000
#: Values of one property, such as the values and files that a step used.
MAX_REFERENCES: Final = 10_000
#: Samples of all series of a step.
MAX_SAMPLES: Final = 1_000_000
#: Totals and samples are smaller, whatever their unit: sums of them stay numbers.
MAX_NUMBER: Final = 2.0**63
#: Files of a step crate.
MAX_FILES: Final = 10_000
#: Levels of lists and objects in a JSON file.
MAX_LEVELS: Final = 100

#: Members of a zip file of many crates.
MAX_MEMBERS: Final = 1_000_000
#: What the members of a zip file are together, unpacked.
MAX_UNPACKED_BYTES: Final = 1 << 40
#: Contents of so many bytes and of more than so many times the size of the zip are a bomb; honest data stay far below.
MAX_RATIO: Final = 500
RATIO_FROM_BYTES: Final = 64 << 20
