# shellcheck shell=bash disable=SC2154  # what is not set here, story and steps.bash set
# Sourced by story: a container's log tells of clients that offer TLS 1.0, and logban has the kernel drop them.

readonly server=demo-haraka judge=demo-logban prober=198.51.100.66 innocent=198.51.100.77 published=127.0.0.1:42525

# A stand-in that prints what it is told, as a Haraka 3 does. It publishes a port, which logban will guard.
start_server() {
    docker run --detach --name "$server" --label "$demo_label" --label logban=true --label logban.filters=haraka \
        --publish "$published:25" "$SIDECARS_BUSYBOX_IMAGE" \
        sh -c 'trap "exit 0" TERM; while :; do nc -l -p 25 >/dev/null; done & while :; do sleep 1 & wait $!; done' >/dev/null
}

# On the host's network, as root with one capability: it is the host's packets that are to be dropped.
logban_options() {
    echo --label "$demo_label" --read-only --tmpfs /tmp --tmpfs /run --network host \
        --cap-drop ALL --cap-add NET_ADMIN --cap-add NET_RAW --security-opt no-new-privileges \
        --volume "$(socket_path):/var/run/docker.sock"
}

start_judge() {
    local options
    read -ra options < <(logban_options)
    docker volume create --label "$demo_label" demo-logban-state >/dev/null
    # Flushed when it is stopped: a demonstration leaves no rules behind.
    docker run --detach --name "$judge" "${options[@]}" --volume demo-logban-state:/var/lib/logban \
        --env LOGBAN_FLUSH_ON_STOP=true --env LOGBAN_HTTP= --health-interval 2s "$SIDECARS_IMAGE_LOGBAN" >/dev/null
}

# probe ADDRESS NUMBER: what Haraka logs of one connection that offered TLS 1.0.
probe() {
    local id
    id=$(printf 'AAAAAAAA-0000-0000-0000-%012X' "$(($2 + RANDOM * 1000))")
    docker exec "$server" sh -c 'printf "%s\n" "$@" >/proc/1/fd/1' - \
        "[NOTICE] [$id] [core] connect ip=$1 port=4711 local_ip=172.17.0.2 local_port=25" \
        "[INFO] [$id] [core] client connection error: Error: 40:error:0A000102:SSL routines:tls_early_post_process_client_hello:unsupported protocol:../deps/openssl/ssl/statem/statem_srvr.c:1707: ip=$1"
}

is_watched() { docker exec "$judge" logban status --json | grep -q '"reading": "api"'; }
is_banned() { docker exec "$judge" logban bans --json | grep -q "$1"; }

headline "logban: who probes the TLS of a mail server is dropped by the kernel, and one can ask why"
act "A stand-in Haraka with a published port, labelled logban=true, and logban beside it"
start_server
start_judge
wait_until 30 "logban is healthy" health_is "$judge" healthy
wait_until 30 "logban reads the log" is_watched
show docker exec "$judge" logban status

act "$innocent offers TLS 1.0 once; $prober does it five times within seconds"
probe "$innocent" 1
for each in 2 3 4 5 6; do probe "$prober" "$each"; done
wait_until 30 "$prober is banned" is_banned "$prober"
show docker exec "$judge" logban bans

act "Why?"
show docker exec "$judge" logban why "$prober"

act "What the kernel holds: one set, one rule, only the published port"
show docker exec "$judge" sh -c 'nft list table inet logban 2>/dev/null || { iptables -t raw -S LOGBAN; ipset list logban4; }'

act "A mistake? One word lets it in again"
show docker exec "$judge" logban unban "$prober"

look_around+=(
    "docker exec $judge logban status"
    "docker exec $judge logban why $prober"
    "docker logs $judge"
)
