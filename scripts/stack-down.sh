#!/usr/bin/env bash
# Take the stack of this checkout away, state and keys included; crates stay, and so do other checkouts' stacks.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/stack-lib.sh
source scripts/stack-lib.sh

read_config
own_or_stop
exec docker compose --profile demo --profile globus down --volumes --remove-orphans
