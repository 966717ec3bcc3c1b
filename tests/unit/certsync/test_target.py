import pytest

from certsync import target
from certsync.store import Owner
from certsync.target import Endpoint, Exec, Http, Restart, Signal, Touch


@pytest.mark.parametrize(
    "name",
    [
        *("haraka", "zonemta", "zone-mta", "wildduck", "stack-haraka-1", "stack_zone-mta_2", "Haraka"),
        *("louislau/zonemta-wildduck:latest", "louislau/haraka-wildduck", "host:5000/nodemailer/wildduck@sha256:1"),
    ],
)
def test_a_hangup_to_a_server_that_it_harms_meets_an_objection(name: str) -> None:
    for signal in ("HUP", "SIGHUP", "1"):
        assert target.objection_to_signal(signal, "x", name) is not None
    assert target.objection_to_signal("USR1", name) is None


@pytest.mark.parametrize(
    "name", ["nginx", "postfix", "dovecot", "wildduck-dockerized-nginx-1", "wildduck-webmail-proxy", ""]
)
def test_a_hangup_to_others_is_fine(name: str) -> None:
    assert target.objection_to_signal("HUP", name) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":25/smtp", Endpoint("me", 25, "smtp")),
        ("haraka:143/imap", Endpoint("haraka", 143, "imap")),
        ("[2001:db8::1]:993", Endpoint("2001:db8::1", 993, "")),
        (":993/tls", Endpoint("me", 993, "")),
        ("none", None),
    ],
)
def test_an_endpoint_is_read(text: str, expected: Endpoint | None) -> None:
    assert target.endpoint(text, "me") == expected


@pytest.mark.parametrize("text", ["", "25", "host", "host:0", "host:70000", "host:25/http", "a b:25", "::1:25"])
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="host"):
        target.endpoint(text, "me")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", None),
        ("restart", Restart("me")),
        ("touch:/a/tls.ini", Touch("/a/tls.ini")),
        ("signal:HUP", Signal("me", "HUP")),
        ("exec:doveadm reload", Exec("me", ("doveadm", "reload"))),
        ("http://wildduck:8080/certs", Http("http://wildduck:8080/certs")),
    ],
)
def test_the_short_form_of_a_reload_is_read(text: str, expected: object) -> None:
    assert target.reload(text, "me") == expected


@pytest.mark.parametrize("text", ["", "reboot", "touch:relative", "signal:", "exec:", "http:/x"])
def test_an_unknown_reload_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="restart"):
        target.reload(text, "me")


def test_numbers_make_an_owner() -> None:
    assert target.owner("1000") == Owner(1000, 1000)
    assert target.owner("0:33") == Owner(0, 33)
    for wrong in ("node", "1000:node", "-1", "1:2:3", ""):
        with pytest.raises(ValueError, match="numbers"):
            target.owner(wrong)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mail.Example.com.", "mail.example.com"),
        ("*.example.com", "*.example.com"),
        ("münchen.example", "xn--mnchen-3ya.example"),
        ("localhost", "localhost"),
    ],
)
def test_a_domain_is_brought_into_its_form_in_certificates(text: str, expected: str) -> None:
    assert target.domain(text) == expected


@pytest.mark.parametrize(
    "text", ["", ".", "a b.example", "a..b", "*", "a.*.b", "x" * 64 + ".example", "http://a.b", "a/b"]
)
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="host name"):
        target.domain(text)


@pytest.mark.parametrize("text", ["HUP", "hup", "SIGHUP", "sighup", "Hup", " HUP ", "1", "01", "+1"])
def test_a_hangup_is_known_in_every_form_that_the_engine_takes(text: str) -> None:
    assert target.signal_name(text) == "HUP"
    with pytest.raises(ValueError, match="SIGHUP does not reload haraka"):
        target.signal_for(text, "haraka")


@pytest.mark.parametrize(("text", "name"), [("usr1", "USR1"), ("15", "TERM"), ("SIGRTMIN+3", "RTMIN+3")])
def test_other_signals_are_read_by_name_or_number(text: str, name: str) -> None:
    assert target.signal_for(text, "haraka") == name


@pytest.mark.parametrize("text", ["HUPP", "", "0", "99", "-1", "SIGSIGHUP"])
def test_what_is_no_signal_is_said_at_once_and_not_when_it_is_sent(text: str) -> None:
    with pytest.raises(ValueError, match="the name of a signal"):
        target.signal_name(text)


@pytest.mark.parametrize("text", ["exec: ", "exec:"])
def test_a_command_of_no_words_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="exec:COMMAND"):
        target.reload(text, "nginx")


def test_a_quote_that_stays_open_is_said_in_plain_words() -> None:
    with pytest.raises(ValueError, match="a command whose quotes are closed"):
        target.reload("exec:nginx -s 'reload", "nginx")
