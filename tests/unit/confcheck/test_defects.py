"""Each defect, planted alone in a sound tree, is found where it is, and nothing else is."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.confcheck import SOUND, copied, found, spoiled, told

BREAKER, FEEDER = "zone-mta/plugins/loop-breaker.toml", "zone-mta/interfaces/feeder.toml"
PLUGIN, HARAKA = "zone-mta/plugins/wildduck.toml", "haraka/wildduck.yaml"
WEBMAIL, CONTROLLER = "wildduck-webmail/default.toml", "rspamd/local.d/worker-controller.inc"
READING, WRITING = (line for line in (SOUND / CONTROLLER).read_text().splitlines() if "password" in line)


@dataclass(frozen=True)
class Defect:
    """What breaks *rule*: *new* in the place of *old*; and how many lines *further* it is told, None: elsewhere."""

    rule: str
    file: str
    old: str
    new: str
    further: int | None = 0


DEFECTS = [
    Defect("leftover-placeholder", "wildduck/imap.toml", '"mail.postbox.test"', '"__MAIL_HOSTNAME__"'),
    Defect("leftover-placeholder", WEBMAIL, 'domains=["postbox.test"]', "domains=__WEBMAIL_DOMAINS__"),
    Defect("leftover-placeholder", WEBMAIL, 'domains=["postbox.test"]', 'domains=["__WEBMAIL_DOMAINS__"]'),
    Defect("leftover-placeholder", "haraka/me", "mail.postbox.test", "__MAIL_HOSTNAME__"),
    Defect("leftover-placeholder", "haraka/rspamd.ini", "host = rspamd", "host = __RSPAMD__"),
    Defect("leftover-placeholder", HARAKA, '"redis"', "__REDIS_HOST__"),
    Defect("leftover-placeholder", "rspamd/local.d/rbl.conf", "q7dqs0token0of0the0tests00", "__DQS_TOKEN__"),
    Defect("leftover-placeholder", "zone-mta/domains.toml", '["gmail.com"]', '["__BIG_DOMAIN__"]'),
    Defect("leftover-placeholder", "wildduck/roles.json", '"authentication"', '"__ROLE__"'),
    Defect("leftover-placeholder", "wildduck/sender.toml", '"Lp5loop0secret0shared0w8"', '"__LOOP_SECRET__"'),
    Defect("leftover-variable", "wildduck/pop3.toml", '"mail.postbox.test"', '"${MAIL_HOSTNAME}"'),
    Defect("leftover-variable", "haraka/wildduck.yaml", '"mongodb://mongo:27017/wildduck"', '"${MONGO_URL:-none}"'),
    Defect("leftover-variable", "rspamd/local.d/rbl.conf", '"q7dqs0token0of0the0tests00.zen', '"${DQS_TOKEN}.zen'),
    Defect(
        "leftover-example", "wildduck/default.toml", 'hostname = "mail.postbox.test"', 'hostname = "email.example.com"'
    ),
    Defect("leftover-example", "wildduck/pop3.toml", '"mail.postbox.test"', '"email.example.com"'),
    Defect(
        "leftover-example",
        "wildduck/acme.toml",
        'email = "domainadmin@postbox.test"',
        'email = "domainadmin@example.com"',
    ),
    Defect("leftover-example", "zone-mta/pools.toml", 'name="mail.postbox.test"', 'name="example.com"'),
    Defect("leftover-example", WEBMAIL, 'appId="https://mail.postbox.test"', 'appId="https://www.example.org/u2f"'),
    Defect("leftover-changeme", BREAKER, "Zb2breaker0secret0alone0x7", "CHANGEME"),
    *(
        Defect("leftover-changeme", "rspamd/local.d/rbl.conf", "q7dqs0token0of0the0tests00", new)
        for new in ("your_DQS_key", "YOUR_DQS_TOKEN", "<DQS_TOKEN>", "<your-key>", "$DQS_TOKEN", "dqskey")
    ),
    Defect("default-secret", "wildduck/api.toml", "vT7hmac0secret0of0accessQ2", "a secret cat"),
    Defect(
        "default-secret",
        "wildduck/api.toml",
        '\naccessToken="k3Yq0token0of0the0api0Zt41"',
        '\naccessToken="somesecretvalue"',
        1,
    ),
    Defect("default-secret", BREAKER, "Zb2breaker0secret0alone0x7", "super secret value"),
    Defect("default-secret", "wildduck/dkim.toml", "Dk9dkim0secret0shared0m3", "super secret key"),
    Defect("default-secret", HARAKA, "Sr4srs0secret0shared0pp6", "secret value"),
    Defect("default-secret", WEBMAIL, "Ww1session0secret0alone0r5", "kfUp3bnprIUwnBbzszeH6rlsKT98X1"),
    Defect("default-secret", WEBMAIL, "Tt8totp0secret0alone0000n4", "XJXVcM6C6GbcvPGZekrRalOmUAq7BJ"),
    Defect("srs-secret", HARAKA, "Sr4srs0secret0shared0pp6", "another0secret"),
    Defect("srs-secret", HARAKA, '  secret: "Sr4srs0secret0shared0pp6"', "  #", -2),
    Defect("loop-secret", HARAKA, '  loopSecret: "Lp5loop0secret0shared0w8"', "  #", -1),  # the commented one is told
    Defect("loop-secret", HARAKA, "Lp5loop0secret0shared0w8", "another0secret"),
    Defect("dkim-secret", PLUGIN, "Dk9dkim0secret0shared0m3", "another0secret"),
    Defect("tls-key-secret", PLUGIN, '#secret="a secret cat"', 'secret="only0here"', None),
    Defect("access-token", WEBMAIL, 'accessToken="k3Yq0token0of0the0api0Zt41"', 'accessToken=""'),
    Defect("mail-database", HARAKA, "mongo:27017/wildduck", "mongo:27017/other"),
    Defect("mail-database", "zone-mta/dbs-production.toml", "/wildduck", "/zone-mta"),
    Defect("queue-database", "wildduck/dbs.toml", 'sender = "zone-mta"', 'sender = "queue"'),
    Defect("redis-database", HARAKA, "db: 3", "db: 4"),
    Defect("queue-collection", "zone-mta/queue.toml", 'collection="zone-queue"', 'collection="queue"', None),
    Defect("queue-files", HARAKA, 'gfs: "mail"', 'gfs: "files"'),
    Defect("syntax", "wildduck/lmtp.toml", "port = 2424", "port = 24 24"),
    Defect("syntax", "wildduck/roles.json", '"authentication": {', '"authentication" {'),
    Defect("syntax", HARAKA, '  secret: "Sr4srs0secret0shared0pp6"', '  secret: "Sr4', None),
    Defect("syntax", "haraka/connection.ini", "enabled=false", "enabled: false"),
    Defect("syntax", "haraka/connection.ini", "[main]", "[main"),
    Defect("syntax", "rspamd/local.d/rbl.conf", 'checks = ["from"];', 'checks = ["from];'),
    Defect("syntax", "rspamd/override.d/dmarc.conf", "\n}", "\n", None),
    Defect("toml-dialect", "wildduck/imap.toml", "ignoredHosts = []", 'ignoredHosts = ["192.0.2.1", 7]'),
    Defect("toml-dialect", "zone-mta/zonemta.toml", "port = 12080", "port = 12080\nlimits.size = 1", 1),
    Defect("include-missing", "wildduck/default.toml", '"attachments.toml"', '"attachment.toml"'),
    Defect("wildduck-tls-file", "wildduck/tls.toml", "config/tls_key.pem", "config/tls_keys.pem"),
    Defect("zonemta-tls-file", FEEDER, '"./config/keys/smtp-cert.pem"', '"./config/keys/cert.pem"'),
    Defect("haraka-tls-file", "haraka/tls.ini", "key=tls_key.pem", "key=certs/key.pem"),
    Defect("rspamd-file", "rspamd/local.d/multimap.conf", "senders.map", "sender.map"),
    Defect("zonemta-api-open", "zone-mta/zonemta.toml", "port = 12080", 'port = 12080\nhost = "0.0.0.0"', 1),
    Defect("zonemta-api-open", "zone-mta/zonemta.toml", "port = 12080", "port = 12080\nhost = false", 1),
    Defect("rspamd-packaged-password", CONTROLLER, WRITING, 'enable_password = "q1";'),
    Defect("rspamd-no-enable-password", CONTROLLER, WRITING, "", -2),
    Defect("rspamd-no-password", CONTROLLER, f"\n{READING}", "\n"),
    Defect("rspamd-secure-ip", CONTROLLER, 'secure_ip = "127.0.0.1";', 'secure_ip = ["::1", "10.0.0.0/8"];'),
    Defect(
        "wildduck-autogenerate",
        "wildduck/acme.toml",
        "[autogenerate]\nenabled = false",
        "[autogenerate]\nenabled = true",
        1,
    ),
    Defect("zonemta-autogenerate", PLUGIN, "autogenerate]\nenabled = false", "autogenerate]\nenabled = true", 1),
]


def test_the_sound_tree_has_no_finding(tmp_path: Path) -> None:
    assert found(copied(tmp_path)) == []


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: f"{defect.rule}-{defect.file}")
def test_a_defect_is_found_where_it_is_and_nothing_else(tmp_path: Path, defect: Defect) -> None:
    root = copied(tmp_path)
    line = spoiled(root, defect.file, defect.old, defect.new)

    findings = told(root)

    if defect.further is None:  # the line is the other file's, or the one where a parser noticed
        assert [rule for _, _, rule in findings] == [defect.rule]
    else:
        assert findings == [(defect.file, line + defect.further, defect.rule)]


@pytest.mark.parametrize(
    ("written", "said"), [("${MAIL_HOSTNAME}", "${MAIL_HOSTNAME}:"), ("${MAIL_HOSTNAME:-canary}", "${MAIL_HOSTNAME:")]
)
def test_a_variable_is_shown_as_it_is_written_without_its_default(tmp_path: Path, written: str, said: str) -> None:
    root = copied(tmp_path)
    spoiled(root, "wildduck/pop3.toml", "mail.postbox.test", written)

    (finding,) = found(root)

    assert f"still holds the variable {said} no server" in finding.message
    assert "canary" not in finding.message


def test_a_controller_that_is_written_as_a_section_is_looked_at_too(tmp_path: Path) -> None:
    root = copied(tmp_path)
    (root / CONTROLLER).unlink()
    section = root / "rspamd/worker-controller.conf"
    section.write_text('worker "controller" {\n  bind_socket = "*:11334";\n  password = "q1";\n}\n')
    assert told(root) == [
        ("rspamd/worker-controller.conf", 1, "rspamd-no-enable-password"),
        ("rspamd/worker-controller.conf", 3, "rspamd-packaged-password"),
    ]

    section.write_text('worker "controller" {\n  bind_socket = "*:11334";\n}\n')
    assert told(root) == [("rspamd/worker-controller.conf", 2, "rspamd-no-password")]


def test_an_api_without_token_and_access_control_is_open(tmp_path: Path) -> None:
    root = copied(tmp_path)
    line = spoiled(root, "wildduck/api.toml", '\naccessToken="k3Yq0token0of0the0api0Zt41"', "\n")
    assert told(root) == [], "access control still asks for a token"

    spoiled(root, "wildduck/api.toml", "[accessControl]\nenabled = true", "[accessControl]\nenabled = false")

    assert told(root) == [("wildduck/api.toml", line, "wildduck-api-open")]


def test_without_a_file_that_includes_them_each_file_is_the_section_of_its_name(tmp_path: Path) -> None:
    root = copied(tmp_path)
    (root / "wildduck/default.toml").unlink()
    line = spoiled(root, HARAKA, "Lp5loop0secret0shared0w8", "another0secret")

    assert told(root) == [(HARAKA, line, "loop-secret")]


def without_includes(root: Path, file: str) -> None:
    path = root / file
    path.write_text(path.read_text().replace("# @include", "# include"))


def test_below_a_file_that_includes_nothing_each_is_the_section_of_its_name_or_of_its_folders(tmp_path: Path) -> None:
    root = copied(tmp_path)
    without_includes(root, "wildduck/default.toml")
    without_includes(root, "zone-mta/zonemta.toml")
    srs = spoiled(root, HARAKA, "Sr4srs0secret0shared0pp6", "another0secret0of0srs")
    loop = spoiled(root, HARAKA, "Lp5loop0secret0shared0w8", "another0secret0of0loops")
    (root / "zone-mta/keys/smtp-key.pem").unlink()

    assert told(root) == [(HARAKA, loop, "loop-secret"), (HARAKA, srs, "srs-secret"), (FEEDER, 12, "zonemta-tls-file")]

    (root / "zone-mta/zonemta.toml").unlink()

    assert (HARAKA, srs, "srs-secret") in told(root)


def test_a_section_that_stands_in_the_file_that_is_read_is_not_taken_from_another(tmp_path: Path) -> None:
    root = copied(tmp_path)
    without_includes(root, "wildduck/default.toml")
    spoiled(root, "wildduck/default.toml", "\n[sender]\n", '\n[sender]\nloopSecret = "another0secret0of0loops"\n')

    assert [(file, rule) for file, _, rule in told(root)] == [(HARAKA, "loop-secret")]


def test_what_set_up_leaves_behind_is_all_found(tmp_path: Path) -> None:
    """Those that the stack's own set-up script leaves, without a word, in the files it writes."""
    root = copied(tmp_path)
    left = [
        ("wildduck/default.toml", '"mail.postbox.test"\nsecure', '"email.example.com"\nsecure', "leftover-example"),
        ("wildduck/pop3.toml", "mail.postbox.test", "email.example.com", "leftover-example"),
        (WEBMAIL, "Ww1session0secret0alone0r5", "kfUp3bnprIUwnBbzszeH6rlsKT98X1", "default-secret"),
        (WEBMAIL, "Tt8totp0secret0alone0000n4", "XJXVcM6C6GbcvPGZekrRalOmUAq7BJ", "default-secret"),
        (HARAKA, '\n  loopSecret: "Lp5loop0secret0shared0w8"', "", "loop-secret"),
        (FEEDER, "\nkey = ", "\nkey  = ", "zonemta-tls-file"),
        (FEEDER, "\ncert = ", "\ncert  = ", "zonemta-tls-file"),
    ]  # fmt: skip
    expected = [("rspamd/local.d", 1, "rspamd-folder")]
    for file, old, new, rule in left:
        line = spoiled(root, file, old, new)
        expected.append((file, line + (rule == "zonemta-tls-file"), rule))
    for folder in ("rspamd/local.d", "zone-mta/keys"):
        for path in (root / folder).iterdir():
            path.unlink()
        (root / folder).rmdir()

    assert told(root) == sorted(expected)


def test_a_message_reads_like_advice_and_shows_no_value(tmp_path: Path) -> None:
    root = copied(tmp_path)
    spoiled(root, HARAKA, "Sr4srs0secret0shared0pp6", "hunter2-is-my-canary")

    (finding,) = found(root)

    assert str(finding) == (
        "haraka/wildduck.yaml:25 srs-secret srs.secret is hu…(20), other than at zone-mta/plugins/wildduck.toml:10: "
        "Haraka does not know the return addresses that ZoneMTA wrote, so bounces of forwarded mail are refused. "
        "Give both the same secret."
    )
