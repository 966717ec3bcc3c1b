# ruff: noqa: E501 -- log lines are quoted as they are printed
"""Lines that servers print, in versions and settings beside those of the corpus."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from reading import offences, read, recogniser

from logban.offence import Offence, Proxy, Success
from logban.recognition import Log

CORPUS = Path(__file__).parents[2] / "data" / "corpus"
UUID = "F6D9EC98-C3B0-48F0-BE83-7B35ED7E18DD"
ERROR = (
    "407DC62A0F7F0000:error:0A000102:SSL routines:tls_early_post_process_client_hello:unsupported protocol:"
    "../deps/openssl/openssl/ssl/statem/statem_srvr.c:1780:"
)
OPENSSL_1_1 = (
    "140377183704960:error:14209102:SSL routines:tls_early_post_process_client_hello:unsupported protocol:"
    "../deps/openssl/openssl/ssl/statem/statem_srvr.c:1686:"
)
CONNECT = f"[NOTICE] [{UUID}] [core] connect ip=192.0.2.7 port=39323 local_ip=172.18.0.5 local_port=25\n"
DISCONNECT = (
    f"[NOTICE] [{UUID}] [core] disconnect ip=192.0.2.7 rdns=NXDOMAIN helo=probe.example relay=N early=N esmtp=Y tls=N "
    'pipe=N errors=0 txns=0 rcpts=0/0/0 msgs=0/0/0 bytes=0 lr="" time=0.003\n'
)


@pytest.mark.parametrize(
    ("what", "log"),
    [
        ("Haraka 3.3", f"{CONNECT}[INFO] [{UUID}] [core] client connection error: Error: {ERROR}  ip=192.0.2.7\n"),
        ("Haraka 3.1", f"{CONNECT}[INFO] [{UUID}] [core] client connection error: Error: {ERROR}\n ip=192.0.2.7\n"),
        (
            "Haraka on Node 16",
            f"{CONNECT}[INFO] [{UUID}] [core] client connection error: Error: {OPENSSL_1_1}\n ip=192.0.2.7\n",
        ),
        (
            "Haraka within a transaction",
            f"{CONNECT}[INFO] [{UUID}.2] [core] client connection error: Error: {ERROR} ip=192.0.2.7\n",
        ),
        (
            "Haraka, the agent having started in the middle",
            f"[INFO] [{UUID}] [core] client connection error: Error: {ERROR}\n ip=10.0.0.9\n{DISCONNECT}",
        ),
        (
            "Haraka json 3.3",
            (
                f'{{"level":"NOTICE","uuid":"{UUID}","origin":"core","message":"connect","ip":"192.0.2.7","port":41391}}\n'
                f'{{"level":"INFO","uuid":"{UUID}","origin":"core","message":"client connection error: Error: {ERROR}",'
                '"ip":"192.0.2.7"}\n'
            ),
        ),
        (
            "Haraka json behind PROXY",
            (
                f'{{"level":"NOTICE","uuid":"{UUID}","origin":"core","message":"connect","ip":"10.0.0.9","port":4139}}\n'
                f'{{"level":"INFO","uuid":"{UUID}","origin":"core","message":"HAProxy","proto":"TCP4",'
                '"src_ip":"192.0.2.7:22472","dst_ip":"127.0.0.1:25"}\n'
                f'{{"level":"INFO","uuid":"{UUID}","origin":"core","message":"client connection error: Error: {ERROR}\\n",'
                '"ip":"10.0.0.9"}\n'
            ),
        ),
        (
            "Haraka logfmt behind PROXY",
            (
                f"level=NOTICE uuid={UUID} origin=core message=connect ip=10.0.0.9 port=39639 local_port=25\n"
                f"level=INFO uuid={UUID} origin=core message=HAProxy proto=TCP4 src_ip=192.0.2.7:1 dst_ip=127.0.0.1:25\n"
                f'level=INFO uuid={UUID} origin=core message="client connection error: Error: {ERROR}\n" ip=10.0.0.9\n'
            ),
        ),
        (
            "ZoneMTA 3.11",
            f"ERR! lcdq2cve5cs80jq8 192.0.2.7 {ERROR}\nERR! \nERR! SMTP/feeder/1 SERVERR error={ERROR}\n" * 2,
        ),
        ("ZoneMTA on Node 16", f"ERR! lcdq2cve5cs80jq8 192.0.2.7 {OPENSSL_1_1}\n" * 2),
        ("ZoneMTA, mapped address", f"ERR! lcdq2cve5cs80jq8 ::ffff:192.0.2.7 {ERROR}\n" * 2),
        (
            "WildDuck, gelf switched on",
            f"info IMAP [rts7upkovkzznfey] Connection from [192.0.2.7] to vm 127.0.0.1:143\n"
            f"ERR! IMAP [rts7upkovkzznfey] {ERROR}\nERR! IMAP \n" * 2,
        ),
        (
            "WildDuck 1.50",
            (
                'info Gelf {"short_message":"WILDDUCK [IMAPCONNERR] x","_code":"ERR_SSL_UNSUPPORTED_PROTOCOL",'
                '"_sess":"rts7upkovkzznfey","_ip":"192.0.2.7"}\n'
            ),
        ),
        (
            "Traefik 2",
            (
                'time="2023-01-15T12:00:00Z" level=debug msg="http: TLS handshake error from 192.0.2.7:4711: tls: client '
                'offered only unsupported versions: [301]"\n'
            ),
        ),
        (
            "Traefik 3, IPv4",
            (
                "2026-11-22T08:34:59Z DBG log/log.go:245 > http: TLS handshake error from 192.0.2.7:37143: tls: client "
                "offered only unsupported versions: [302 301]\n"
            ),
        ),
        (
            "Traefik json, fields in another order",
            (
                '{"level":"debug","time":"2026-11-22T08:35:54Z","message":"http: TLS handshake error from 192.0.2.7:1: '
                'tls: client offered only unsupported versions: []"}\n'
            ),
        ),
        (
            "Postfix, RFC 3339 time",
            (
                "2026-11-22T08:54:53.123456+01:00 mail postfix/smtpd[29578]: connect from unknown[192.0.2.7]\n"
                "2026-11-22T08:54:53.123456+01:00 mail postfix/smtpd[29578]: warning: TLS library problem: "
                "error:1417A102:SSL routines:tls_early:unsupported protocol:ssl/statem/statem_srvr.c:1714:\n"
            ),
        ),
        (
            "Dovecot 2.2",
            (
                "Nov 22 08:37:40 mail dovecot: imap-login: Disconnected (no auth attempts in 0 secs): user=<>, "
                "rip=192.0.2.7, lip=10.0.0.1, TLS handshaking: SSL_accept() failed: error:14209102:SSL routines:"
                "tls_early_post_process_client_hello:unsupported protocol, session=<UwzmY9lgvad>\n"
            ),
        ),
        (
            "Dovecot 2.4",
            (
                "Nov 22 08:37:40 imap-login: Info: Login aborted: Connection closed: SSL_accept() failed: error:0A000102:SSL "
                "routines::unsupported protocol (disconnected before auth was ready, waited 0 secs) "
                "(tls_handshake_not_finished): user=<>, rip=192.0.2.7, lip=10.0.0.1, TLS handshaking: SSL_accept() failed: "
                "error:0A000102:SSL routines::unsupported protocol, session=<UwzmY9lgvad>\n"
            ),
        ),
        (
            "nginx with OpenSSL 1.1",
            (
                "2026/11/22 08:36:44 [info] 16#16: *52 SSL_do_handshake() failed (SSL: error:14209102:SSL routines:"
                "tls_early_post_process_client_hello:unsupported protocol) while SSL handshaking, client: 192.0.2.7, "
                "server: 0.0.0.0:443\n"
            ),
        ),
        (
            "HAProxy with a reason",
            (
                "192.0.2.7:36897 [22/Nov/2026:08:37:47.186] https/1: SSL handshake failure (error:0A000102:SSL routines::"
                "unsupported protocol)\n"
            ),
        ),
    ],
)
def test_one_failed_handshake_is_one_offence(what: str, log: str) -> None:
    assert offences(log) == [("192.0.2.7", "legacy_tls")], what


@pytest.mark.parametrize(
    "line",
    [
        '2026/11/22 08:36:20 [error] 1#1: *1 user "alice": password mismatch, client: 192.0.2.7, server: x',
        '2026/11/22 08:36:20 [error] 1#1: *1 user "bob" was not found in "/etc/htpasswd", client: 192.0.2.7, server: x',
        '192.0.2.7 - alice [22/Nov/2026:08:36:32 +0000] "GET /login HTTP/1.1" 401 2 "-" "-" "-"',
    ],
)
def test_nginx_tells_failed_logins_in_three_ways(line: str) -> None:
    assert offences(f"{line}\n") == [("192.0.2.7", "auth_failure")]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("no cipher suite supported by both client and server; client offered: [a 16 c012]", "no_shared_cipher"),
        ("first record does not look like a TLS handshake", "plaintext_on_tls"),
        ("handshake message of length 65280 bytes exceeds maximum of 65536 bytes", "malformed"),
        ("peer doesn't support any of the certificate's signature algorithms", "no_shared_cipher"),
    ],
)
def test_what_go_says_has_its_kind(text: str, kind: str) -> None:
    line = (
        f"2026-11-22T08:34:59Z DBG log/log.go:245 > http: TLS handshake error from [2001:db8::7]:37143: tls: {text}\n"
    )
    assert offences(line, "traefik") == [("2001:db8::7", kind)]


@pytest.mark.parametrize(
    "line",
    [
        "remote error: tls: bad certificate",
        "remote error: tls: unknown certificate authority",
        "remote error: tls: expired certificate",
        "local error: tls: bad record MAC",
    ],
)
def test_a_client_that_refuses_our_certificate_offends_nobody(line: str) -> None:
    log = f"2026-11-22T08:34:59Z DBG log/log.go:245 > http: TLS handshake error from 192.0.2.7:37143: {line}\n"
    assert offences(log, "traefik") == []


def test_our_own_deliveries_are_nobodys_offence() -> None:
    error = ERROR.replace("unsupported protocol", "packet length too long")
    log = (
        f"[ERROR] [-] [core] client TLS error: Error: {error}\n"
        f"[ERROR] [{UUID}.1.1] [outbound] Ongoing connection failed to 192.0.2.61:25 : Error: {error}\n"
        f"info Sender/default/1[1] id=ok8jicc1c73dmibk 1a2.001 ERRCONNECT [Z1] Failed to connect to mx[192.0.2.61] {error}\n"
        f"Nov 22 08:54:53 mail postfix/smtp[29578]: warning: TLS library problem: {error}\n"
    )
    assert read(log) == []


def test_a_terminals_colours_and_line_ends_change_nothing() -> None:
    plain = f"{CONNECT}[INFO] [{UUID}] [core] client connection error: Error: {ERROR} ip=192.0.2.7\n"
    coloured = "".join(f"\x1b[36m{line}\x1b[39m\r\n" for line in plain.splitlines())
    npmlog = f"\x1b[0m\x1b[31;40mERR!\x1b[0m \x1b[0m\x1b[35mlcdq2cve5cs80jq8\x1b[0m 192.0.2.8 {ERROR}\r\n"
    assert offences(coloured + npmlog) == [("192.0.2.7", "legacy_tls"), ("192.0.2.8", "legacy_tls")]


def test_the_engines_time_is_the_time_of_an_offence() -> None:
    log = f"2026-11-22T08:36:26.500000000Z ERR! lcdq2cve5cs80jq8 192.0.2.7 {ERROR}\n"
    (event,) = read(log, stamped=True)
    assert event.at == 1795336586.5


@pytest.mark.parametrize(
    "name", ["haraka-3.1.1-node25-proxy", "wildduck-1.51.1-node25-interleaved", "zonemta-3.11.0-node25-starttls"]
)
def test_with_the_engines_times_a_log_tells_the_same(name: str) -> None:
    data = gzip.decompress((CORPUS / f"{name}.log.gz").read_bytes())
    stamped = re.sub(rb"(?m)^(?=.|\n)", b"2026-11-22T08:36:26.123456789Z ", data)

    def told(data: bytes, *, stamped: bool) -> list[tuple[str, str, int]]:
        events = Log(recogniser(), stamped=stamped).feed(data)
        return [(str(each.address), each.kind, each.line) for each in events if isinstance(each, Offence)]

    assert told(stamped, stamped=True) == told(data, stamped=False)


def test_the_sender_of_a_proxy_header_is_told_and_the_client_blamed() -> None:
    log = (
        CONNECT.replace("192.0.2.7", "10.0.0.9")
        + f"[INFO] [{UUID}] [core] HAProxy proto=TCP6 src_ip=2001:db8:7e41::273d:37122 dst_ip=::1:25\n"
        + f"[INFO] [{UUID}] [core] client connection error: Error: {ERROR}\n ip=10.0.0.9\n"
    )
    proxy, offence = read(log)
    assert isinstance(proxy, Proxy) and str(proxy.address) == "10.0.0.9"
    assert isinstance(offence, Offence) and str(offence.address) == "2001:db8:7e41::273d"


def test_a_peers_address_counts_only_where_nothing_better_is_known() -> None:
    failed = f"[INFO] [{UUID}] [core] client connection error: Error: {ERROR}  ip=192.0.2.7\n"
    other = UUID.replace("F6D9", "0000")
    proxied = f"[INFO] [{other}] [core] HAProxy proto=TCP4 src_ip=192.0.2.99:1 dst_ip=127.0.0.1:25\n"
    assert offences(failed) == [("192.0.2.7", "legacy_tls")]
    assert offences(proxied + failed) == []
    assert offences(proxied + failed + DISCONNECT.replace("192.0.2.7", "192.0.2.8")) == [("192.0.2.8", "legacy_tls")]
    assert offences(CONNECT.replace("192.0.2.7", "192.0.2.9") + failed) == [("192.0.2.9", "legacy_tls")]


def test_an_accepted_mail_is_a_success_and_a_refused_one_is_not() -> None:
    accepted = DISCONNECT.replace("msgs=0/0/0", "msgs=2/0/0")
    refused = DISCONNECT.replace("msgs=0/0/0", "msgs=0/0/1")
    assert [type(each) for each in read(accepted)] == [Success]
    assert read(refused) == []


def test_a_process_id_that_comes_again_is_another_connection() -> None:
    def session(address: str) -> str:
        head = "Nov 22 08:54:53 mail postfix/smtpd[29578]:"
        return (
            f"{head} connect from unknown[{address}]\n{head} SSL_accept error from unknown[{address}]: -1\n"
            f"{head} warning: TLS library problem: {ERROR}\n{head} disconnect from unknown[{address}] ehlo=1\n"
        )

    log = session("192.0.2.7") + session("192.0.2.8") + session("192.0.2.7")
    assert [address for address, _ in offences(log)] == ["192.0.2.7", "192.0.2.8", "192.0.2.7"]


def test_pop3_tells_one_failure_in_two_ways_and_it_counts_once() -> None:
    log = (
        'info Gelf {"short_message":"WILDDUCK [POP3ERROR] x","_code":"ERR_SSL_UNSUPPORTED_PROTOCOL","_tnx":"error",'
        '"_sess":"mjcoxemkux2ku7zh","_ip":"192.0.2.7"}\n'
        "ERR! Gelf {\nERR! Gelf   short_message: 'x',\nERR! Gelf   _reason: 'unsupported protocol',\n"
        "ERR! Gelf   _code: 'x',\nERR! Gelf   _protocol: 'pop3',\nERR! Gelf   _stage: 'connect',\n"
        "ERR! Gelf   _ip: '192.0.2.7',\nERR! Gelf }\n"
    )
    assert offences(log) == [("192.0.2.7", "legacy_tls")]
    assert offences(log * 2) == [("192.0.2.7", "legacy_tls")] * 1
    assert offences(log + log.replace("mjcox", "other")) == [("192.0.2.7", "legacy_tls")] * 2
    implicit_tls = log[log.index("ERR!") :]  # a failure on 995 has the block alone
    assert offences(log + implicit_tls) == [("192.0.2.7", "legacy_tls")] * 2


def test_other_lines_may_stand_inside_a_block() -> None:
    log = (
        "ERR! Gelf {\nERR! Gelf   _reason: 'unsupported protocol',\nERR! Gelf   _code: 'x',\n"
        f"{CONNECT}[INFO] [{UUID}] [core] client connection error: Error: {ERROR}\n"
        "ERR! Gelf   _protocol: 'imap',\nERR! Gelf   _stage: 'connect',\nERR! Gelf   _ip: '192.0.2.9',\nERR! Gelf }\n"
    )
    assert sorted(offences(log)) == [("192.0.2.7", "legacy_tls"), ("192.0.2.9", "legacy_tls")]


def test_a_block_without_end_is_given_up() -> None:
    fields = "ERR! Gelf   _reason: 'unsupported protocol',\nERR! Gelf   _code: 'x',\n"
    address = "ERR! Gelf   _protocol: 'imap',\nERR! Gelf   _stage: 'connect',\nERR! Gelf   _ip: '192.0.2.9',\n"
    filler = "ERR! Gelf   x: 'y',\n"
    assert len(offences(f"ERR! Gelf {{\n{fields}{filler * 20}{address}ERR! Gelf }}\n")) == 1
    assert offences(f"ERR! Gelf {{\n{fields}{filler * 500}{address}ERR! Gelf }}\n") == []
    long = f"ERR! Gelf   x: '{'y' * 70_000}',\n"
    assert offences(f"ERR! Gelf {{\n{fields}{long}{address}ERR! Gelf }}\n") == []


def test_behind_proxy_headers_a_peers_address_blames_nobody() -> None:
    log = Log(recogniser())
    events = log.feed(
        b'info IMAP [triaoasiqyp2gq6p] PROXY from 192.0.2.7 through ::1 (["TCP4"])\n'
        b"ERR! Gelf {\nERR! Gelf   _reason: 'unsupported protocol',\nERR! Gelf   _code: 'x',\n"
        b"ERR! Gelf   _protocol: 'imap',\nERR! Gelf   _stage: 'connect',\nERR! Gelf   _ip: '10.0.0.9',\nERR! Gelf }\n"
    )
    assert events == []
    assert [(each.kind, each.count) for each in log.unattributed()] == [("legacy_tls", 1)]


def test_an_offence_that_waits_for_its_address_is_unattributed_until_it_comes() -> None:
    log = Log(recogniser())
    assert log.feed(f"[INFO] [{UUID}] [core] client connection error: Error: {ERROR}\n".encode()) == []
    assert [(each.kind, each.count) for each in log.unattributed()] == [("legacy_tls", 1)]
    (event,) = log.feed(DISCONNECT.encode())
    assert (str(event.address), event.line) == ("192.0.2.7", 1)
    assert log.unattributed() == []


def test_evidence_holds_no_password() -> None:
    for line, secret in (
        ("sill C: AUTH PLAIN AGFsaWNlAGNvcnJlY3QtaG9yc2UtNw==", "AGFsaWNl"),
        ('C: a4 LOGIN "alice" "correct horse"', "correct"),
        ("C: PASS hunter22", "hunter22"),
        ('{"password":"hunter22"}', "hunter22"),
    ):
        (event,) = (each for each in read(f"ERR! lcdq2cve5cs80jq8 192.0.2.7 {ERROR} {line}\n"))
        assert isinstance(event, Offence)
        assert secret not in event.evidence and "***" in event.evidence
