# shellcheck shell=bash disable=SC2154  # what is not set here, story and steps.bash set
# Sourced by story: Traefik renews, and a mail server that clients are talking to serves the new certificate.

readonly talkers=$demo_project-clients-1

traefik_renews() { compose run --rm --no-TTY traefik "$DEMO_NAME" "$1"; }

serial_served() { docker exec "$certsync" certsync status --json | sed -n '/"served": {/,/}/s/.*"serial": "\([0-9A-F]*\)".*/\1/p'; }
are_served() { [[ $(docker logs "$talkers" 2>&1) == *"now served"* ]]; }
is_served() { docker exec "$certsync" certsync status; }
another_is_served() { is_served && [[ $(serial_served) != "$served_before" ]]; }

headline "certsync: Traefik renews, and seconds later the mail server serves it, provably"
act "A stand-in Traefik stores a certificate; a stand-in mail server asks for it by labels"
traefik_renews 20 | indented
wait_until 40 "the mail server serves the certificate, and certsync has seen it" is_served
show docker exec "$certsync" certsync status

act "Clients shake hands with the server without a pause, and Traefik renews"
compose --profile clients up --detach clients
wait_until 20 "clients are served" are_served
served_before=$(serial_served)
traefik_renews 90 | indented
wait_until 30 "the renewal is served" another_is_served
show docker exec "$certsync" certsync status
show docker logs "$talkers"

act "What certsync did, and what belongs into the zone (a renewal keeps the key, so the record stays)"
docker logs "$certsync" 2>&1 | grep -E 'certificate_(delivered|served)|consumer_reloaded' | indented
show docker exec "$certsync" certsync tlsa

look_around+=(
    "docker exec $certsync certsync status --json"
    "docker exec $certsync certsync list"
    "docker logs --follow $talkers"
)
