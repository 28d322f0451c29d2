"""Print the directory that has to be first on ``PATH``."""

from pathlib import Path

print(Path(__file__).resolve().parent)
