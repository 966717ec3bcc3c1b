# shellcheck shell=bash disable=SC2154  # what is not set here, story and steps.bash set
# Sourced by story: one page that shows what the acts before it did, and whatever happens next within seconds.

readonly page=$demo_project-stats-1

# on_page EXPRESSION: whether that holds for the document, `d`, that the page is made of.
on_page() {
    docker exec "$page" stats status --json |
        .venv/bin/python -c 'import json, sys; d = json.load(sys.stdin); sys.exit(0 if eval(sys.argv[1]) else 1)' "$1"
}

headline "stats: one page for all of it, the profile \`stats\` of the same file"
act "stats beside the agents: their figures, logban's state, the engine"
compose --profile stats up --detach stats
wait_until 30 "stats is healthy" health_is "$page" healthy
wait_until 30 "the page shows the heal of act one" on_page "any(c['name'] == 'mailqueue' and c['heals_24h'] for c in d['containers'])"
wait_until 30 "the page shows the certificate that is served" on_page "any(c['served'] for c in d['certs'])"
wait_until 30 "the page shows the ban" on_page "any(b['source'] == '$prober' for b in d['bans']['last'])"
show docker exec "$page" stats status

act "It all happens once more: a heal, a renewal and a ban, and the page shows each of them"
make_sick
traefik_renews 120 | indented
show docker exec "$logban" logban unban "$prober"
for each in 11 12 13 14 15; do probe "$prober" "$each"; done
wait_until 40 "the page shows the second heal" on_page "any(c['name'] == 'mailqueue' and c['heals_24h'] == 2 for c in d['containers'])"
wait_until 40 "the page shows the renewal" on_page "any(c['served'] and c['days_left'] > 100 for c in d['certs'])"
wait_until 40 "the page shows the new ban" on_page "[b['active'] for b in d['bans']['last'] if b['source'] == '$prober'] == [True, False]"
printf '   the page:  http://%s/stats   user %s   password %s\n' "$DEMO_PAGE" admin "$DEMO_PASSWORD"

look_around+=(
    "http://$DEMO_PAGE/stats        # user admin, password $DEMO_PASSWORD"
    "docker exec $page stats status"
)
