"""Real Haraka: a renewal reaches its clients without a restart and without a failed handshake."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import consumers
from lab.authority import Authority, acme_json, entry, pem
from lab.certsync import Certsync, Clients, served_serial, write_as_traefik_does
from lab.consumers import Server

NAME = "mail.example.com"


@pytest.fixture(params=["haraka-3.1.6", "haraka-3.3.4"])
def haraka(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with consumers.haraka(tmp_path, request.param, NAME) as stage:
        yield stage


@pytest.fixture
def certsync(haraka: Server, tmp_path: Path) -> Iterator[Certsync]:
    with Certsync(tmp_path, haraka.document(NAME)) as agent:
        yield agent


def test_ten_renewals_reach_every_client_without_a_failed_handshake(
    haraka: Server, certsync: Certsync, authority: Authority
) -> None:
    haraka.renew(authority.issue(NAME, days=30))
    certsync.wait_served(1, "haraka")
    seconds = []
    with Clients(lambda: served_serial(haraka.port)).at_work() as clients:
        for number in range(10):
            kind = "rsa2048" if number % 2 == 0 else "ec"
            renewed = authority.issue(NAME, kind=kind, number=number, days=31 + number)
            haraka.renew(renewed)
            seconds.append(certsync.wait_served(number + 2, "haraka")["seconds"])
            assert haraka.serves(renewed)
    assert clients.failures == []
    assert len(clients.serials) == 11
    assert haraka.process.poll() is None
    assert max(seconds) <= 7.0, seconds  # 5 s of them are Haraka's own
    assert certsync.status("haraka")["state"] == "in_sync"


def test_no_bad_certificate_reaches_it_and_each_is_refused_with_its_reason(
    haraka: Server, certsync: Certsync, authority: Authority
) -> None:
    """The matrix: whatever Traefik's store holds, the good certificate is served and the process lives."""
    good = authority.issue(NAME, days=30)
    haraka.renew(good)
    certsync.wait_served(1, "haraka")
    newer, other = authority.issue(NAME, days=60), authority.issue(NAME, days=60, number=9)
    rsa = authority.issue(NAME, days=60, kind="rsa2048")
    rsa_other = authority.issue(NAME, days=60, kind="rsa2048", number=8)
    refused = {
        "ec_key_of_another": ("key_mismatch", [entry(newer, key_pem=other.key_pem())]),
        "rsa_key_of_another": ("key_mismatch", [entry(rsa, key_pem=rsa_other.key_pem())]),
        "rsa_key_for_an_ec_certificate": ("key_mismatch", [entry(newer, key_pem=rsa.key_pem())]),
        "expired": ("expired", [entry(authority.issue(NAME, days=-0.1))]),
        "not_yet_valid": ("not_yet_valid", [entry(authority.issue(NAME, days=60, starts=1))]),
        "other_name": ("name_not_covered", [entry(authority.issue("mail.example.com.evil.example", days=60))]),
        "earlier_end": ("downgrade", [entry(authority.issue(NAME, days=20))]),
        "staging": ("staging", [entry(Authority("(STAGING) CA").issue(NAME, days=60))]),
        "weak": ("weak_key", [entry(authority.issue(NAME, days=60, kind="rsa1024"))]),
        "chain_of_strangers": ("chain_broken", [entry(newer, chain=pem(newer.leaf, Authority("Other").intermediate))]),
        "no_entry": ("no_certificate", []),
    }
    for name, (reason, entries) in refused.items():
        seen = len(certsync.lines("delivery_refused", reason=reason))
        write_as_traefik_does(haraka.acme, acme_json(le=entries))
        certsync.wait_for("delivery_refused", reason=reason, count=seen + 1)
        assert certsync.status("haraka")["reason"] == reason, name
        assert haraka.serves(good), name
    assert haraka.process.poll() is None

    # What can be repaired is repaired: the intermediate first, the root and a stranger in between, an old entry before.
    jumbled = pem(newer.intermediate, newer.root, Authority("Other").intermediate, newer.leaf)
    write_as_traefik_does(
        haraka.acme, acme_json(old=[entry(authority.issue(NAME, days=-0.1))], le=[entry(newer, chain=jumbled)])
    )
    certsync.wait_served(2, "haraka")
    assert haraka.serves(newer)
    assert (haraka.folder / "tls_cert.pem").read_bytes() == newer.chain_pem
    assert haraka.process.poll() is None
