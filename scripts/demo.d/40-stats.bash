# shellcheck shell=bash disable=SC2154  # what is not set here, story and steps.bash set
# Sourced by story: one page that shows what the acts before it did, and whatever happens next within seconds.

readonly page=demo-stats page_at=127.0.0.1:42580 page_user=admin
page_password=$(od -An -N 12 -tx1 /dev/urandom | tr -d ' \n')
readonly page_password

# On two networks: the agents' own, which leads nowhere, and one on which its port can be published.
start_page() {
    local socket
    socket=$(socket_path)
    docker volume create --label "$demo_label" demo-stats-state >/dev/null
    # Group 0 may read logban's state, which knows whom it banned; its figures do not tell.
    docker create --name "$page" --label "$demo_label" --publish "$page_at:8080" \
        --read-only --cap-drop ALL --security-opt no-new-privileges --tmpfs /tmp \
        --user 10001:10001 --group-add "$(group_of "$socket")" --group-add 0 \
        --volume "$socket:/var/run/docker.sock" --volume demo-stats-state:/var/lib/stats \
        --volume demo-logban-state:/logban:ro \
        --env STATS_LISTEN=0.0.0.0:8080 --env STATS_INTERVAL=2s \
        --env STATS_USER="$page_user" --env STATS_PASSWORD="$page_password" \
        --env STATS_AUTOHEAL_URL="http://$healer:9180" --env STATS_CERTSYNC_URL="http://$mail:9181" \
        --env STATS_LOGBAN_STATE=/logban \
        --health-interval 2s "$SIDECARS_IMAGE_STATS" >/dev/null
    docker network connect "$agents_network" "$page"
    docker start "$page" >/dev/null
}

# on_page EXPRESSION: whether that holds for the document, `d`, that the page is made of.
on_page() {
    docker exec "$page" stats status --json |
        .venv/bin/python -c 'import json, sys; d = json.load(sys.stdin); sys.exit(0 if eval(sys.argv[1]) else 1)' "$1"
}

headline "stats: one page for all of it"
act "stats beside the agents: their figures, logban's state, the engine"
start_page
wait_until 30 "stats is healthy" health_is "$page" healthy
wait_until 30 "the page shows the heal of act one" on_page "any(c['name'] == '$service' and c['heals_24h'] for c in d['containers'])"
wait_until 30 "the page shows the certificate that is served" on_page "any(c['served'] for c in d['certs'])"
wait_until 30 "the page shows the ban" on_page "any(b['source'] == '$prober' for b in d['bans']['last'])"
show docker exec "$page" stats status

act "It all happens once more: a heal, a renewal and a ban, and the page shows each of them"
make_sick
traefik_renews 120 | indented
for each in 11 12 13 14 15; do probe "$prober" "$each"; done
wait_until 40 "the page shows the second heal" on_page "any(c['name'] == '$service' and c['heals_24h'] == 2 for c in d['containers'])"
wait_until 40 "the page shows the renewal" on_page "any(c['served'] and c['days_left'] > 100 for c in d['certs'])"
wait_until 40 "the page shows the new ban" on_page "d['bans']['active'] == 1"
printf '   the page:  http://%s/stats   user %s   password %s\n' "$page_at" "$page_user" "$page_password"

look_around+=(
    "http://$page_at/stats        # user $page_user, password $page_password"
    "docker exec $page stats status"
)
