# shellcheck shell=bash disable=SC2154  # what is not set here, story and steps.bash set
# Sourced by story: a container's healthcheck fails, autoheal restarts it and keeps the evidence.

readonly service=demo-mailqueue healer=demo-autoheal

# A service whose health is one file. It makes the file at its start, so a restart mends it.
start_service() {
    docker run --detach --name "$service" --label "$demo_label" --label autoheal=true --network none \
        --health-cmd 'test -e /tmp/alive || { echo "mail queue: no answer"; exit 1; }' \
        --health-interval 1s --health-timeout 5s --health-retries 2 \
        "$SIDECARS_BUSYBOX_IMAGE" sh -c 'touch /tmp/alive; echo "mail queue: serving"; trap "exit 0" TERM; sleep 2147483647 & wait' \
        >/dev/null
}

# As anyone would run it beside a stack: the socket, a volume for its history, and a network for who asks for its figures.
start_healer() {
    local socket
    socket=$(socket_path)
    docker volume create --label "$demo_label" demo-autoheal-state >/dev/null
    docker run --detach --name "$healer" --label "$demo_label" \
        --read-only --cap-drop ALL --security-opt no-new-privileges --tmpfs /tmp --network "$agents_network" \
        --user 10001:10001 --group-add "$(group_of "$socket")" --env AUTOHEAL_HTTP=0.0.0.0:9180 \
        --volume "$socket:/var/run/docker.sock" --volume demo-autoheal-state:/var/lib/autoheal \
        --health-interval 2s "$SIDECARS_IMAGE_AUTOHEAL" >/dev/null
}

# The engine's socket as the engine's own machine knows it.
socket_path() {
    case ${DOCKER_HOST:-} in
        unix://*) echo "${DOCKER_HOST#unix://}" ;;
        *) echo /var/run/docker.sock ;;
    esac
}

# Asked in a container, since the engine may be on another machine or see other files than this script.
group_of() { docker run --rm --network none --volume "$1:/socket" "$SIDECARS_BUSYBOX_IMAGE" stat -c %g /socket; }

make_sick() {
    docker exec "$service" sh -c 'echo "mail queue: lost the database, giving up" >/proc/1/fd/1; rm /tmp/alive'
}

was_restarted() { [[ $(docker inspect --format '{{.State.StartedAt}}' "$service") != "$started_at" ]]; }

# The engine's own account of the heal, in milliseconds from the moment it called the container unhealthy.
engine_account() {
    docker events --since "$1" --until "$(($(date +%s) + 1))" --filter "container=$service" \
        --format '{{.TimeNano}} {{.Action}}' |
        awk '/health_status: unhealthy/ { first = $1 }
             first && !/exec_/ { at = ($1 - first) / 1e6; $1 = ""; printf "%8.0f ms %s\n", at, $0 }'
}

last_record() {
    docker exec "$healer" autoheal history --json --container "$service" |
        .venv/bin/python -c 'import json, sys; print(max(record["id"] for record in json.load(sys.stdin)))'
}

heal_is_recorded() {
    docker exec "$healer" autoheal history --json --container "$service" | grep -q '"recovered"'
}

headline "autoheal: a sick container is back at once, for the right reason, and the evidence is kept"
act "A stand-in mail queue, labelled autoheal=true, and autoheal beside it"
start_service
start_healer
wait_until 30 "the stand-in is healthy" health_is "$service" healthy
wait_until 30 "autoheal is healthy" health_is "$healer" healthy
show docker ps --filter "label=$demo_label" --format '{{.Names}}: {{.Status}}'

act "The queue loses its database and stops answering; its healthcheck will fail twice"
started_at=$(docker inspect --format '{{.State.StartedAt}}' "$service")
sick_since=$(date +%s)
make_sick
wait_until 30 "the engine calls the stand-in unhealthy and autoheal restarts it" was_restarted
wait_until 30 "the stand-in is healthy again" health_is "$service" healthy
wait_until 30 "autoheal has recorded the recovery" heal_is_recorded
echo "   healed; what the engine saw:"
engine_account "$sick_since" | indented

act "What autoheal kept: the decision, the probe's output, the last log lines from before the restart"
show docker exec "$healer" autoheal history
show docker exec "$healer" autoheal show "$(last_record)"

act "How things stand"
show docker exec "$healer" autoheal status

look_around+=(
    "docker logs $healer"
    "docker exec $healer autoheal status"
    "docker exec $service rm /tmp/alive        # make it sick again, and see: docker events"
)
