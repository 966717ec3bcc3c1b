"""The three agents do their work through their proxies, in the deployment as the compose files make it."""

from itertools import count

import pytest

from lab.authority import Authority
from lab.deployment import Deployment
from lab.wire import wait_for

pytestmark = pytest.mark.engine

PROBER = "198.51.100.66"
NUMBERS = count(1)


def probe(deployment: Deployment, address: str) -> None:
    """Have the stand-in Haraka log a connection that offered TLS 1.0."""
    identity = f"AAAAAAAA-0000-0000-0000-{next(NUMBERS):012X}"
    lines = (
        f"[NOTICE] [{identity}] [core] connect ip={address} port=4711 local_ip=172.17.0.2 local_port=25\n"
        f"[INFO] [{identity}] [core] client connection error: Error: 40:error:0A000102:SSL routines:"
        f"tls_early_post_process_client_hello:unsupported protocol:../deps/openssl/statem.c:1: ip={address}\n"
    )
    deployment.run("haraka", "sh", "-c", 'printf %s "$1" >/proc/1/fd/1', "-", lines)


def test_autoheal_heals_a_service_of_the_stack(deployment: Deployment) -> None:
    rspamd = deployment.container("rspamd")
    rspamd.wait_for(health="healthy")
    started = rspamd.started_at

    rspamd.run("rm", "/tmp/www/ping")

    wait_for(lambda: rspamd.started_at != started, "it is restarted")
    rspamd.wait_for(health="healthy")
    wait_for(lambda: "recovered" in deployment.run("autoheal", "autoheal", "history").stdout, "it is recorded")


def test_certsync_delivers_to_the_folders_of_the_stack_and_restarts_who_reads_only_once(
    deployment: Deployment, authority: Authority
) -> None:
    zonemta = deployment.container("zonemta")
    started = zonemta.started_at
    renewed = authority.issue("mail.example.com", days=60)

    deployment.store(renewed)

    for place in ("haraka/tls_cert.pem", "zone-mta/keys/smtp-cert.pem"):
        file = deployment.folder / "config-generated" / place
        wait_for(lambda file=file: file.exists() and file.read_bytes() == renewed.chain_pem, place)  # type: ignore[misc]
    assert (deployment.folder / "config-generated/haraka/tls_key.pem").stat().st_mode & 0o777 == 0o600
    wait_for(lambda: zonemta.started_at != started, "ZoneMTA is restarted")
    wait_for(lambda: deployment.run("certsync", "certsync", "status").returncode == 0, "all targets are in sync")


def test_logban_has_the_kernel_of_the_host_drop_whom_a_log_tells_of(deployment: Deployment) -> None:
    wait_for(lambda: '"reading": "api"' in deployment.run("logban", "logban", "status", "--json").stdout, "it reads")

    for _ in range(5):
        probe(deployment, PROBER)

    wait_for(lambda: PROBER in deployment.run("logban", "logban", "bans", "--json").stdout, "it is banned")
    dropped = deployment.run("logban", "sh", "-c", "nft list set inet logban logban4 || ipset list logban4").stdout
    assert PROBER in dropped
