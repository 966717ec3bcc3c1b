# shellcheck shell=bash disable=SC2154  # what is not set here, story and steps.bash set
# Sourced by story: a container's healthcheck fails, autoheal restarts it and keeps the evidence.

readonly service=$demo_project-mailqueue-1

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
    docker exec "$autoheal" autoheal history --json --container "$service" |
        .venv/bin/python -c 'import json, sys; print(max(record["id"] for record in json.load(sys.stdin)))'
}

heal_is_recorded() {
    docker exec "$autoheal" autoheal history --json --container "$service" | grep -q '"recovered"'
}

headline "autoheal: a sick container is back at once, for the right reason, and the evidence is kept"
act "A stand-in mail queue, labelled autoheal=true, loses its database and stops answering; its healthcheck will fail twice"
wait_until 30 "the stand-in is healthy" health_is "$service" healthy
started_at=$(docker inspect --format '{{.State.StartedAt}}' "$service")
sick_since=$(date +%s)
make_sick
wait_until 30 "the engine calls the stand-in unhealthy and autoheal restarts it" was_restarted
wait_until 30 "the stand-in is healthy again" health_is "$service" healthy
wait_until 30 "autoheal has recorded the recovery" heal_is_recorded
echo "   healed; what the engine saw:"
engine_account "$sick_since" | indented

act "What autoheal kept: the decision, the probe's output, the last log lines from before the restart"
show docker exec "$autoheal" autoheal history
show docker exec "$autoheal" autoheal show "$(last_record)"

look_around+=(
    "docker exec $autoheal autoheal status"
    "docker exec $service rm /tmp/alive        # make it sick again, and see: docker events"
)
