#!/bin/sh
# Print a digest of what pyproject.toml asks for: each lock of requirements/ says of which one it was made.
sed -n '/^\[project.optional-dependencies\]/,/^\[project.scripts\]/p; /^\[dependency-groups\]/,/^\[tool/p' "$(dirname "$0")/../pyproject.toml" |
    sed '/^ *#/d; /^$/d' | sha256sum | cut -c1-16
