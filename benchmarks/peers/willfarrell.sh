#!/bin/sh
# An equivalent, written anew from its documentation, of the loop of willfarrell/docker-autoheal: every
# AUTOHEAL_INTERVAL seconds it lists the unhealthy labelled containers with curl, reads them with jq, and restarts one
# after the other. Debian's curl and jq are larger than those of its Alpine image.
: "${DOCKER_SOCK:?}" "${AUTOHEAL_INTERVAL:=5}" "${AUTOHEAL_DEFAULT_STOP_TIMEOUT:=10}" "${CURL_TIMEOUT:=30}"
filters='%7B%22health%22%3A%5B%22unhealthy%22%5D%2C%22label%22%3A%5B%22autoheal%3Dtrue%22%5D%7D'

engine() {
    curl --no-buffer --silent --max-time "$CURL_TIMEOUT" --unix-socket "$DOCKER_SOCK" "$@"
}

while true; do
    engine "http://localhost/containers/json?filters=$filters" |
        jq -r --arg default "$AUTOHEAL_DEFAULT_STOP_TIMEOUT" \
            '.[] | .Id, .Names[0], .State, (.Labels["autoheal.stop.timeout"] // $default)' |
        while read -r id && read -r name && read -r state && read -r seconds; do
            if [ "$state" = restarting ]; then
                echo "$name is being restarted already"
            elif engine -f -X POST "http://localhost/containers/$id/restart?t=$seconds"; then
                echo "$name was restarted"
            else
                echo "$name could not be restarted"
            fi
        done
    sleep "$AUTOHEAL_INTERVAL"
done
