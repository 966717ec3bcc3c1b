# shellcheck shell=bash disable=SC2154  # what is not set here, story and steps.bash set
# Sourced by story: Traefik renews, and a mail server that clients are talking to serves the new certificate.

readonly mail=demo-mailserver courier=demo-certsync talkers=demo-clients
readonly mail_name=mail.demo.example

# stand_in NAME SCRIPT [DOCKER-ARGUMENT...]: runs a Python script from beside this file.
stand_in() {
    local name=$1 script=$2
    shift 2
    # Handed in as text: the engine may be on another machine and not see this folder.
    docker run --name "$name" --label "$demo_label" --entrypoint python "$@" "$SIDECARS_IMAGE_CERTSYNC" \
        -c "$(cat "scripts/demo.d/$script")" "${script_arguments[@]}"
}

# Both folders belong to the user of the image, as Traefik's belongs to Traefik.
make_folders() {
    docker volume create --label "$demo_label" demo-traefik >/dev/null
    docker volume create --label "$demo_label" demo-tls >/dev/null
    docker volume create --label "$demo_label" demo-certsync-state >/dev/null
    docker run --rm --user 0 --network none --entrypoint chown --volume demo-traefik:/traefik --volume demo-tls:/tls \
        "$SIDECARS_IMAGE_CERTSYNC" 10001:10001 /traefik /tls
}

traefik_renews() {
    script_arguments=("$mail_name" "$1")
    stand_in demo-traefik standin_traefik.py --rm --network none --volume demo-traefik:/traefik
}

start_mailserver() {
    script_arguments=()
    stand_in "$mail" standin_mailserver.py --detach --network "$agents_network" --volume demo-tls:/tls \
        --label certsync=true --label "certsync.domains=$mail_name" \
        --label certsync.certificate=/tls/tls_cert.pem --label certsync.key=/tls/tls_key.pem \
        --label certsync.reload=touch:/tls/tls.ini --label certsync.verify=127.0.0.1:2525/smtp >/dev/null
}

# Beside the server, with a view of Traefik's folder that it cannot write to, and the folder that both share.
start_courier() {
    local socket
    socket=$(socket_path)
    docker run --detach --name "$courier" --label "$demo_label" \
        --read-only --cap-drop ALL --security-opt no-new-privileges --tmpfs /tmp --network "container:$mail" \
        --user 10001:10001 --group-add "$(group_of "$socket")" --env RESYNC=2s --env CERTSYNC_EXPIRY=1d \
        --env CERTSYNC_HTTP=0.0.0.0:9181 \
        --volume "$socket:/var/run/docker.sock" --volume demo-certsync-state:/var/lib/certsync \
        --volume demo-traefik:/traefik:ro --volume demo-tls:/targets/mail \
        --health-interval 2s "$SIDECARS_IMAGE_CERTSYNC" >/dev/null
}

start_talkers() {
    script_arguments=()
    stand_in "$talkers" standin_client.py --detach --network "container:$mail" >/dev/null
}

serial_served() { docker exec "$courier" certsync status --json | sed -n '/"served": {/,/}/s/.*"serial": "\([0-9A-F]*\)".*/\1/p'; }
is_served() { docker exec "$courier" certsync status; }
another_is_served() { is_served && [[ $(serial_served) != "$served_before" ]]; }

headline "certsync: Traefik renews, and seconds later the mail server serves it, provably"
act "A stand-in Traefik stores a certificate; a stand-in mail server asks for it by labels; certsync beside them"
make_folders
traefik_renews 20 | indented
start_mailserver
start_courier
wait_until 40 "the mail server serves the certificate, and certsync has seen it" is_served
show docker exec "$courier" certsync status

act "Clients shake hands with the server without a pause, and Traefik renews"
start_talkers
wait_until 20 "clients are served" docker exec "$courier" certsync status
served_before=$(serial_served)
traefik_renews 90 | indented
wait_until 30 "the renewal is served" another_is_served
show docker exec "$courier" certsync status
show docker logs "$talkers"

act "What certsync did, and what belongs into the zone (a renewal keeps the key, so the record stays)"
docker logs "$courier" 2>&1 | grep -E 'certificate_(delivered|served)|consumer_reloaded' | indented
show docker exec "$courier" certsync tlsa

look_around+=(
    "docker exec $courier certsync status --json"
    "docker exec $courier certsync list"
    "docker logs --follow $talkers"
)
