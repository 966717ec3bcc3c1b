# shellcheck shell=bash disable=SC2154  # what is not set here, story and steps.bash set
# Sourced by story: one page that shows what the acts before it did, and whatever happens next within seconds.

readonly page=http://127.0.0.1:42580/stats

# on_page EXPRESSION: whether that holds for the document, `d`, that the page is made of.
on_page() {
    docker exec "$stats" stats status --json |
        .venv/bin/python -c 'import json, sys; d = json.load(sys.stdin); sys.exit(0 if eval(sys.argv[1]) else 1)' "$1"
}

headline "stats: one page for all of it"
act "The profile stats of compose.sidecars.yml: a page of the agents' figures, logban's bans, and the engine's containers"
compose --profile stats up --detach
wait_until 60 "stats is healthy" health_is "$stats" healthy
wait_until 30 "the page shows the heal of act one" on_page "any(c['name'] == '$service' and c['heals_24h'] for c in d['containers'])"
wait_until 30 "the page shows the certificate that is served" on_page "any(c['served'] for c in d['certs'])"
wait_until 30 "the page shows the ban" on_page "any(b['source'] == '$prober' for b in d['bans']['last'])"
show docker exec "$stats" stats status

act "It all happens once more: a heal, a renewal and a ban, and the page shows each of them"
make_sick
traefik_renews 120 | indented
for each in 11 12 13 14 15; do probe 198.51.100.88 "$each"; done
wait_until 40 "the page shows the second heal" on_page "any(c['name'] == '$service' and c['heals_24h'] == 2 for c in d['containers'])"
wait_until 40 "the page shows the renewal" on_page "any(c['served'] and c['days_left'] > 100 for c in d['certs'])"
wait_until 40 "the page shows the new ban" on_page "any(b['source'] == '198.51.100.88' for b in d['bans']['last'])"
printf '   the page:  %s   user admin   password %s\n' "$page" "$DEMO_PASSWORD"

look_around+=(
    "$page        # user admin, password $DEMO_PASSWORD"
    "docker exec $stats stats status"
)
