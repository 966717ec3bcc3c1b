"""Masking: what looks like a secret is gone, what does not is still there, in linear time."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecarkit.masking import MASK, Mask


@pytest.mark.parametrize(
    "name",
    [
        "REDIS_PASSWORD",
        "mysql_pwd",
        "APP_SECRET",
        "GITHUB_TOKEN",
        "DB_PASS",
        "AWS_ACCESS_KEY_ID",
        "API_KEY",
        "KEY",
        "SENTRY_DSN",
        "BASIC_AUTH",
        "HASH_SALT",
        "COOKIE",
        "SESSION_ID",
        "TLS_PRIVATE",
        "APIKEY",
        "X_CREDENTIALS",
    ],
)
def test_the_value_of_a_variable_that_sounds_secret_is_masked(name: str) -> None:
    assert Mask([f"{name}=hunter22"])("login with hunter22!") == f"login with {MASK}!"


@pytest.mark.parametrize("name", ["HOSTNAME", "KEYBOARD", "MONKEY", "PATH", "TZ"])
def test_the_value_of_another_variable_stays(name: str) -> None:
    assert Mask([f"{name}=mail.example"])("at mail.example") == "at mail.example"


@pytest.mark.parametrize("value", ["", "abc", "true", "FALSE", "none", "null", "localhost", "default", "3306"])
def test_a_value_that_tells_nothing_stays_readable(value: str) -> None:
    text = "connect to localhost:3306: true, false, none, null, default, abc"

    assert Mask([f"DB_PASSWORD={value}"])(text) == text


def test_four_letters_are_a_secret() -> None:
    assert Mask(["A_TOKEN=abcd", "URL=redis://:efgh@redis"])("abcd efgh") == "*** ***"


def test_a_value_may_hold_equals_signs_and_pattern_characters() -> None:
    assert Mask(["APP_SECRET=a=b.*c("])("x a=b.*c( y aXbZZc") == f"x {MASK} y aXbZZc"


def test_a_secret_that_holds_another_one_goes_as_a_whole() -> None:
    assert Mask(["A_TOKEN=hunter", "B_TOKEN=hunter22"])("hunter22 hunter") == f"{MASK} {MASK}"


def test_a_secret_of_several_lines_is_masked_line_by_line() -> None:
    mask = Mask(["APP_SECRET=first part\nsecond part"])

    assert mask("first part") == mask("second part") == MASK


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("mongodb://user:hunter22@mongo:27017/db", f"mongodb://user:{MASK}@mongo:27017/db"),
        ("redis://:hunter22@redis", f"redis://:{MASK}@redis"),
        ("see https://example.com:8443/a@b", "see https://example.com:8443/a@b"),
        ("http://user@host:80/", "http://user@host:80/"),
        ("mail to a:b@c", "mail to a:b@c"),
        ("amqp+ssl://u:p:q@h amqp://x:y@z", f"amqp+ssl://u:{MASK}@h amqp://x:{MASK}@z"),
    ],
)
def test_a_password_in_an_address_is_masked(text: str, masked: str) -> None:
    assert Mask()(text) == masked


def test_a_password_in_the_address_of_a_variable_is_masked_everywhere() -> None:
    assert Mask(["MONGO_URL=mongodb://user:hunter22@mongo/db"])("auth failed: hunter22") == f"auth failed: {MASK}"


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "ENCRYPTED "])
def test_a_private_key_is_masked_also_when_its_end_is_missing(kind: str) -> None:
    key = f"-----BEGIN {kind}PRIVATE KEY-----\nMIIabc\n"

    assert Mask()(f"a {key}-----END {kind}PRIVATE KEY----- b") == f"a {MASK} b"
    assert Mask()(f"a {key}more") == f"a {MASK}"


def test_a_certificate_stays() -> None:
    text = "-----BEGIN CERTIFICATE-----\nMIIabc\n-----END CERTIFICATE-----"

    assert Mask()(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abc.def-123_~+/==", f"Authorization: Bearer {MASK}"),
        ("authorization: basic dXNlcjpwYXNz x", f"authorization: basic {MASK} x"),
        ("a basic test", "a basic test"),
    ],
)
def test_what_authorises_a_request_is_masked(text: str, masked: str) -> None:
    assert Mask()(text) == masked


@given(st.text(min_size=4), st.text(), st.text())
def test_no_text_around_it_saves_a_secret(secret: str, before: str, after: str) -> None:
    secret = f"s3cr3t{secret}"

    assert secret not in Mask([f"APP_SECRET={secret}"])(f"{before}{secret}{after}")


@pytest.mark.parametrize(
    "hostile", ["a.", "a:", "://", "://:", "://a:b", "bearer ", "basic  ", "-----BEGIN PRIVATE KEY-----", "@", "x@://:"]
)
def test_no_text_takes_long(hostile: str) -> None:
    started = time.process_time()

    Mask(["APP_SECRET=hunter22"])(hostile * 100_000)

    assert time.process_time() - started < 2.0
