#!/usr/bin/env bash
# From a machine with nothing on it to a local endpoint that works: Docker and base images if they are missing (as root
# on Debian), the stack, the examples through it, and a table of their crates. A second run only does what is missing, and
# repairs parts that were killed or restarted.
#
#   scripts/stack-up.sh [--no-demo]
#
# Variables are those of docker-compose.yml; SETUP_DOCKER=0 leaves this machine's Docker as it is. What cannot work is said
# before anything is touched.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/stack-lib.sh
source scripts/stack-lib.sh

say() { printf 'up: %s\n' "$*" >&2; }

images=(debian:bookworm-slim rabbitmq:4.0-management)
if [[ ${SETUP_DOCKER:-1} == 1 ]]; then
    scripts/setup-docker.sh
    scripts/base-images.sh "${images[@]}"
fi

# ::1, as the kernel writes it.
grep -qs ^00000000000000000000000000000001 /proc/net/if_inet6 || export PROV_STACK_LOOPBACK6="${PROV_STACK_LOOPBACK6:-127.0.0.1}"
read_config
own_or_stop

# The container of a part, and what Docker says of it; empty if there is none.
container() { docker compose ps --all --quiet "$1" 2>/dev/null; }
of() {
    local id
    id=$(container "$1")
    [[ ! $id ]] || docker inspect --format "$2" "$id"
}
health='{{if .State.Running}}{{with .State.Health}}{{.Status}}{{else}}well{{end}}{{else}}exited {{.State.ExitCode}}{{end}}'

# What of this stack is there already decides what a failure may take away.
labelled="label=com.docker.compose.project=$project"
there=$(docker ps --all --quiet --filter "$labelled")
kept=$(docker volume ls --quiet --filter "$labelled")
made=
give_up() {
    if [[ ! $there ]]; then
        local volumes=--volumes
        [[ ! $kept ]] || volumes=
        docker compose --progress quiet down $volumes >/dev/null 2>&1 || true
        [[ ! $made ]] || rmdir "$crates" 2>/dev/null || true
    fi
    exit "${1:-1}"
}

published=$(of net '{{if .State.Running}}{{with index .NetworkSettings.Ports "5000/tcp"}}{{(index . 0).HostPort}}{{end}}{{end}}')
for address in 127.0.0.1 ::1; do
    if [[ $published != "$port" ]] && (exec 3<>"/dev/tcp/$address/$port") 2>/dev/null; then
        say "port $port of this machine is in use by something else. Free it, or take another one: PROV_STACK_PORT=$((port + 1)) make up"
        exit 1
    fi
done

if [[ ! -d $crates ]]; then
    # Docker would make it, and as root's.
    mkdir -p "$crates" || stop "PROV_STACK_CRATES: $crates: cannot be made"
    made=1
fi

say "building the image and starting the stack"
compose=(docker compose)
[[ -t 2 ]] || compose+=(--progress quiet)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"${compose[@]}" build setup >&2 || {
    say "the image could not be built"
    give_up
}
# Says what is wrong with values, keys, user and folder before any part of a running stack is made again.
docker compose --progress quiet run --rm --no-deps --no-TTY setup </dev/null >"$log" 2>&1 || {
    code=$?
    { grep '^prov-worker container:' "$log" || tail -n 3 "$log"; } >&2
    say "nothing was started or changed"
    [[ $code == 2 ]] || give_up
    give_up 2
}

start() { docker compose --progress quiet up --detach --wait >"$log" 2>&1; }

# Parts that lost the network they share: it was restarted, and they are still in the one before.
rejoin() {
    local since part began
    [[ $(of net "$health") == well ]] || docker compose --progress quiet start net >/dev/null 2>&1 || true
    since=$(of net '{{.State.StartedAt}}')
    for part in service endpoint; do
        began=$(of "$part" '{{if .State.Running}}{{.State.StartedAt}}{{end}}')
        if [[ $began && $began < $since ]]; then
            say "$part: restarted, its network was"
            docker compose --progress quiet restart --no-deps "$part" >/dev/null 2>&1
        fi
    done
}

# Compose takes the last known health for the present one. Parts get a minute to be well again by themselves, as when what
# they wait for was away; then they are restarted.
repair() {
    local part end=$((SECONDS + 60))
    for part in broker service endpoint; do
        while [[ $(of "$part" "$health") == unhealthy ]]; do
            if ((SECONDS >= end)); then
                say "$part: restarted, it was not well"
                docker compose --progress quiet restart --no-deps "$part" >/dev/null 2>&1
                break
            fi
            sleep 1
        done
    done
}

# What a part that is not well said last: its own one line if there is one.
blame() {
    local part state text
    for part in setup broker net service endpoint; do
        state=$(of "$part" "$health")
        [[ $state && $state != healthy && $state != well && $state != "exited 0" ]] || continue
        text=$(docker compose logs --no-color --no-log-prefix --tail 200 "$part" 2>&1)
        text=$(awk '{ sub(/^\033\[2K/, "") } /^prov-worker/ && !seen[$0]++' <<<"$text" | tail -n 5)
        [[ $text ]] || text=$(docker compose logs --no-color --no-log-prefix --tail 5 "$part" 2>&1)
        printf '%s, %s:\n%s\n' "$part" "$state" "$text" >&2
        of "$part" '{{with .State.Health}}{{range .Log}}{{.Output}}{{end}}{{end}}' | grep . | tail -n 1 >&2 || true
    done
}

[[ ! $there ]] || rejoin
start || {
    again=
    [[ ! $there ]] || { repair && start && again=1; }
    [[ $again ]] || {
        blame
        tail -n 2 "$log" >&2
        say "the stack did not come up"
        give_up
    }
}

if [[ ${1:-} != --no-demo ]]; then
    docker compose --progress quiet run --rm --no-deps --no-TTY demo
fi

# With these the commands below, and make, mean this stack.
with=
for name in COMPOSE_PROJECT_NAME PROV_STACK_PORT; do
    [[ ! ${!name:-} ]] || with+="$name=${!name} "
done
if [[ $port == 5000 ]]; then
    scripts="For your own scripts:   pip install globus-compute-sdk
                        eval \"\$(${with}docker compose exec -T service prov-worker service env)\""
else
    # Compose by itself would take the image's user.
    as=
    [[ $user == 1000:1000 ]] || as="PROV_STACK_UID=${user%:*} PROV_STACK_GID=${user#*:} "
    scripts="For your own scripts:   the SDK looks at port 5000 alone, so they run inside:
                        $as${with}docker compose run --rm --no-deps --volume \"\$PWD:/work:ro\" demo client python /work/SCRIPT.py"
fi
cat >&2 <<EOF

The local endpoint is up at http://127.0.0.1:$port/ and leaves its crates in $crates.
$scripts
To stop it:             ${with}make down    (crates stay)
EOF
