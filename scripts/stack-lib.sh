# shellcheck shell=bash
# What stack-up.sh and stack-down.sh know of the stack before they touch it. To be sourced in the folder of the checkout.
#
#   project, crates, port, user    as compose resolves them, of the environment and of .env

stop() { printf '%s\n' "$@" >&2; exit 2; }

# The value of a key in compose's JSON, which is indented, one key per line; the first after a line that matches.
value() { sed -n "/$1/,\$s/^ *\"$2\": \"\{0,1\}\(.*[^,\"]\)\"\{0,1\},\{0,1\}\$/\1/p" <<<"$config" | head -n 1; }

read_config() {
    # Containers run as whoever starts them, so that crates belong to that user; root's run as the image's user.
    if [[ $(id -u) != 0 ]]; then
        PROV_STACK_CALLER_UID=$(id -u) PROV_STACK_CALLER_GID=$(id -g)
        export PROV_STACK_CALLER_UID PROV_STACK_CALLER_GID
    fi
    local errors
    errors=$(docker compose config --quiet 2>&1) || stop "docker-compose.yml, with your variables: ${errors##*$'\n'}"
    config=$(docker compose config --format json net setup 2>/dev/null)
    local renamed old new
    for renamed in $(value '"setup": {' PROV_STACK_OLD_NAMES); do
        old=${renamed%=*} new=${renamed#*=}
        echo "docker-compose.yml: $old is now $new; the old name works in this release only" >&2
        [[ ! ${!old:-} || ${!new:-} ]] || export "$new=${!old}"
    done
    project=$(value '^{' name)
    port=$(value '"ports": \[' published)
    user=$(value '"net": {' user)
    crates=$(value '"type": "bind"' source)
    [[ $crates != *\\* ]] || stop "PROV_STACK_CRATES: $crates: no quotes and no backslashes in the name of the folder, please"
    crates=${crates//\$\$/\$}
    [[ $user =~ ^[0-9]+:[0-9]+$ ]] || stop "PROV_STACK_UID, PROV_STACK_GID: expected whole numbers, got ${user/:/ and }"
}

# Another checkout's stack of the same name is none of ours.
own_or_stop() {
    local folder
    while IFS= read -r folder; do
        [[ $folder && ! $folder -ef $PWD ]] || continue
        stop "$project is the stack of another checkout, $folder, and is left as it is." \
            "  To run both:     COMPOSE_PROJECT_NAME=$project-2 PROV_STACK_PORT=$((port + 1)) make up" \
            "  To end that one: COMPOSE_PROJECT_NAME=$project make -C $folder down    (if that is gone: docker compose -p $project down --volumes)"
    done < <(docker ps --all --filter "label=com.docker.compose.project=$project" \
        --format '{{.Label "com.docker.compose.project.working_dir"}}' | sort -u)
}
