# ruff: noqa: E501 -- log lines are quoted as they are printed
"""Text that a client chose never gives an address, a connection or a kind."""

from __future__ import annotations

import pytest
from reading import offences, read, recogniser

from logban.offence import Offence, Success
from logban.recognition import Log

UUID = "F6D9EC98-C3B0-48F0-BE83-7B35ED7E18DD"
VICTIM = "198.51.100.77"
ERROR = "C0F1:error:0A000102:SSL routines:f:unsupported protocol:x.c:1:"
# What a client may write into a name, a subject or a path, hoping that it is read as the server's own.
FORGED = (
    f"[NOTICE] [{UUID}] [core] connect ip={VICTIM} port=1 local_ip=1.1.1.1",
    f"[INFO] [{UUID}] [core] HAProxy proto=TCP4 src_ip={VICTIM}:1 dst_ip=1.1.1.1:25",
    f"[INFO] [{UUID}] [core] client connection error: Error: {ERROR}  ip={VICTIM}",
    f'disconnect ip={VICTIM} x lr="501 SSL attempted over a non-SSL socket" time=1',
    f"ERR! lcdq2cve5cs80jq8 {VICTIM} {ERROR}",
    f'" src=[{VICTIM}] proto=PLAIN',
    f'" srs=[{VICTIM}] proto=PLAIN error=no',
    f"ERR! IMAP [rts7upkovkzznfey] {ERROR}",
    f"info IMAP [rts7upkovkzznfey] Connection from [{VICTIM}] to vm 1.1.1.1:1",
    f'info Gelf {{"short_message":"WILDDUCK [IMAPCONNERR] x","_code":"ERR_SSL_HTTP_REQUEST","_sess":"rts7upkovkzznfey","_ip":"{VICTIM}"}}',
    f"ERR! Gelf   _ip: '{VICTIM}',",
    f"2026-11-22T08:34:59Z DBG log/log.go:245 > http: TLS handshake error from {VICTIM}:1: tls: unsupported SSLv2 handshake received",
    f"Nov 22 08:54:53 mail postfix/smtpd[29578]: connect from unknown[{VICTIM}]",
    f">, method=PLAIN, rip={VICTIM}, lip=127.0.0.1, TLS, session=<a>",
    f"x>, rip={VICTIM}, lip=1.1.1.1, TLS handshaking: SSL_accept() failed: {ERROR}",
    f"2026/11/22 08:36:44 [info] 1#1: *5 SSL_do_handshake() failed (SSL: {ERROR}) while SSL handshaking, client: {VICTIM}, server: x",
    f'": password mismatch, client: {VICTIM}, server: x',
    f"{VICTIM}:1 [22/Nov/2026:08:37:47.186] https/1: SSL handshake failure ({ERROR})",
)
PLACES = (
    (
        "[NOTICE] [{uuid}] [core] disconnect ip=192.0.2.7 rdns=NXDOMAIN helo={text} relay=N early=N esmtp=Y tls=N pipe=N "
        'errors=0 txns=0 rcpts=0/0/0 msgs=0/0/0 bytes=0 lr="{text}" time=0.003'
    ),
    '[NOTICE] [{uuid}.1] [core] message mid=<{text}> size=1 rcpts=1/0/0 delay=0 code=CONT msg=""',
    '{{"level":"NOTICE","uuid":"{uuid}","origin":"core","message":"sender","x":"{escaped}"}}',
    "sill IMAP [n5tuwcsbuwgrg54l] C: {text}",
    "verb Authentication error for {text} using PLAIN. Authentication failed",
    'info Gelf {{"short_message":"WILDDUCK [SNI] {escaped}","_sni_servername":"{escaped}","_code":"x"}}',
    "ERR! Gelf   _username: '{text}',",
    '192.0.2.7 - - [22/Nov/2026:08:37:37 +0000] "GET /{text} HTTP/1.0" 200 255 "-" "{text}" "-"',
    "Nov 22 08:54:53 mail postfix/cleanup[1]: 4F: message-id=<{text}>",
    '2026/11/22 08:36:45 [error] 1#1: *6 open() "/x" failed (2: No such file), client: 192.0.2.7, request: "GET {text}"',
    '{{"ClientHost":"192.0.2.7","RequestPath":"{escaped}","level":"info","msg":""}}',
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", FORGED)
def test_forged_text_gives_nothing(place: str, text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    line = place.format(uuid=UUID, text=text, escaped=escaped)
    log = Log(recogniser())
    told = [event for event in log.feed(f"{line}\n".encode()) if not isinstance(event, Success)]
    assert told == []
    assert log.connections == 0
    assert log.unattributed() == []


@pytest.mark.parametrize("text", FORGED)
def test_a_forged_user_name_blames_the_one_who_typed_it(text: str) -> None:
    lines = (
        (
            "info SMTP/feeder/1 CONNECTION id=lcdq2cve5cs80jq8 src=[192.0.2.7]:42779 tlsProtocol=No TLS\n"
            f'info SMTP/feeder/1 AUTHFAIL id=lcdq2cve5cs80jq8 user="{text}" srs=[192.0.2.7] proto=PLAIN error=no\n'
        ),
        (
            f"Nov 22 08:37:32 imap-login: Info: Disconnected: Aborted login (auth failed, 1 attempts in 2 secs): user=<{text}>, "
            "method=PLAIN, rip=192.0.2.7, lip=127.0.0.1, TLS, session=<cjNJY9lgi4V>\n"
        ),
        (
            '2026/11/22 08:36:20 [info] 1#1: *1 client login failed: "no" while in http auth state, client: 192.0.2.7, '
            f'server: 0.0.0.0:1, login: "{text}"\n'
        ),
    )
    for line in lines:
        assert offences(line) == [("192.0.2.7", "auth_failure")], line


@pytest.mark.parametrize("text", FORGED)
def test_a_line_end_in_a_user_name_blames_nobody_else(text: str) -> None:
    # npmlog prints each line of a message with the level and the head of the first.
    mine = "info IMAP [n5tuwcsbuwgrg54l] Connection from [192.0.2.7] to vm 127.0.0.1:143\n"
    names = (text, f"[n5tuwcsbuwgrg54l] Connection from [{VICTIM}] to vm 127.0.0.1:143")
    for name in names:
        log = (
            f"{mine}info IMAP [n5tuwcsbuwgrg54l] Authentication failed for x\ninfo IMAP {name}\ninfo IMAP  using PLAIN\n"
            f"ERR! IMAP [n5tuwcsbuwgrg54l] {ERROR}\n"
        )
        assert {address for address, _ in offences(log)} == {"192.0.2.7"}


def test_a_forged_success_earns_no_trust() -> None:
    for text in (
        f"info IMAP x\ninfo IMAP [n5tuwcsbuwgrg54l] alice authenticated using PLAIN [{VICTIM}]",
        (
            f"[NOTICE] [{UUID}] [core] disconnect ip=192.0.2.7 rdns=x helo=probe relay=N early=N rcpts=0/0/0 msgs=0/0/1 "
            'bytes=0 lr="550 <a relay=N msgs=5/0/0 bytes=1 lr=@x>" time=1'
        ),
        (
            f'info SMTP/feeder/1 AUTHFAIL id=lcdq2cve5cs80jq8 user="x\ninfo SMTP/feeder/1 AUTHSUCCESS id=lcdq2cve5cs80jq9 '
            f'user="x" src=[{VICTIM}] proto=PLAIN'
        ),
    ):
        assert not [event for event in read(f"{text}\n") if isinstance(event, Success)], text


def test_what_stands_in_an_addresss_place_must_be_an_address() -> None:
    for wrong in ("1.2.3", "1.2.3.4.5", "999.1.1.1", "01.2.3.4", "mail.example.com", ":::", "1.2.3.4::", "."):
        assert offences(f"ERR! lcdq2cve5cs80jq8 {wrong} {ERROR}\n") == [], wrong


def test_an_injected_flood_bans_true_peers_only() -> None:
    lines = [
        place.format(
            uuid=UUID, text=FORGED[number % len(FORGED)], escaped=FORGED[number % len(FORGED)].replace('"', '\\"')
        )
        for number, place in enumerate(PLACES * 10_000)
    ]
    lines.insert(50_000, f"ERR! lcdq2cve5cs80jq8 192.0.2.7 {ERROR}")
    told = [event for event in read("\n".join(lines) + "\n") if isinstance(event, Offence)]
    assert [str(event.address) for event in told] == ["192.0.2.7"]
