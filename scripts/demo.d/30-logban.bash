# shellcheck shell=bash disable=SC2154  # what is not set here, story and steps.bash set
# Sourced by story: a container's log tells of clients that offer TLS 1.0, and logban has the kernel drop them.

readonly server=$demo_project-haraka-1 prober=198.51.100.66 innocent=198.51.100.77

# probe ADDRESS NUMBER: what Haraka logs of one connection that offered TLS 1.0.
probe() {
    local id
    id=$(printf 'AAAAAAAA-0000-0000-0000-%012X' "$(($2 + RANDOM * 1000))")
    docker exec "$server" sh -c 'printf "%s\n" "$@" >/proc/1/fd/1' - \
        "[NOTICE] [$id] [core] connect ip=$1 port=4711 local_ip=172.17.0.2 local_port=25" \
        "[INFO] [$id] [core] client connection error: Error: 40:error:0A000102:SSL routines:tls_early_post_process_client_hello:unsupported protocol:../deps/openssl/ssl/statem/statem_srvr.c:1707: ip=$1"
}

is_watched() { docker exec "$logban" logban status --json | grep -q '"reading": "api"'; }
is_banned() { docker exec "$logban" logban bans --json | grep -q "$1"; }

headline "logban: who probes the TLS of a mail server is dropped by the kernel, and one can ask why"
act "A stand-in Haraka with a published port, labelled logban=true: $innocent offers TLS 1.0 once, $prober five times"
wait_until 30 "logban reads the log" is_watched
probe "$innocent" 1
for each in 2 3 4 5 6; do probe "$prober" "$each"; done
wait_until 30 "$prober is banned" is_banned "$prober"
show docker exec "$logban" logban bans

act "Why?"
show docker exec "$logban" logban why "$prober"

act "What the kernel holds: one set, one rule, only the published port"
show docker exec "$logban" sh -c 'nft list table inet logban 2>/dev/null || { iptables -t raw -S LOGBAN; ipset list logban4; }'

look_around+=(
    "docker exec $logban logban status"
    "docker exec $logban logban unban $prober        # a mistake? one word lets it in again"
)
