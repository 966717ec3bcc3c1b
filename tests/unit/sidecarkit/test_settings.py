"""Settings: one declaration, one reading, every complaint at once."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecarkit import settings
from sidecarkit.agent import CommonSettings
from sidecarkit.errors import SettingsError
from sidecarkit.settings import Address, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    retries: int = setting("DEMO_RETRIES", settings.whole_number(minimum=1, maximum=9), default="3", help="tries")
    wait: float = setting("DEMO_WAIT", settings.duration, default="10s", help="pause")
    token: str | None = setting("DEMO_TOKEN", settings.text, secret=True, help="password")
    pin: int | None = setting("DEMO_PIN", settings.whole_number(), secret=True, help="number nobody may see")
    http: Address | None = setting(
        "DEMO_HTTP", settings.listen_address, default="127.0.0.1:9180", empty_counts=True, help="where to listen"
    )


def complaints(environ: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        settings.read(Config, environ)
    return caught.value.complaints


def accepted(convert: Any, value: str) -> Any:
    """Convert, or say what is accepted."""
    try:
        return convert(value)
    except ValueError as error:
        return str(error)


# Reading


def test_what_is_not_set_has_its_default() -> None:
    assert settings.read(Config, {}) == Config(
        retries=3, wait=10.0, token=None, pin=None, http=Address("127.0.0.1", 9180)
    )


def test_an_empty_variable_counts_as_not_set_unless_it_switches_something_off() -> None:
    config = settings.read(Config, {"DEMO_RETRIES": "", "DEMO_TOKEN": "", "DEMO_HTTP": ""})

    assert (config.retries, config.token, config.http) == (3, None, None)


def test_every_wrong_variable_is_reported_at_once_with_name_value_and_what_is_accepted() -> None:
    assert complaints({"DEMO_RETRIES": "many", "DEMO_WAIT": "soon", "DEMO_HTTP": "9180"}) == (
        "DEMO_RETRIES='many': expected a whole number, 1 to 9",
        "DEMO_WAIT='soon': expected a duration such as 30s, 10m, 4h or 7d, or plain seconds",
        "DEMO_HTTP='9180': expected host:port such as 127.0.0.1:9180, or nothing to switch it off",
    )


def test_a_secrets_value_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "pin"
    file.write_text("hunter2\n")

    assert complaints({"DEMO_PIN": "hunter2"}) == ("DEMO_PIN=(not shown): expected a whole number, 0 or more",)
    assert complaints({"DEMO_PIN_FILE": str(file)}) == (
        "DEMO_PIN_FILE=(not shown): expected a whole number, 0 or more",
    )


# X_FILE


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_variable_may_be_given_as_a_file_and_one_line_end_is_not_part_of_it(tmp_path: Path, end: str) -> None:
    (tmp_path / "token").write_text(f" se cret {end}", newline="")

    assert settings.read(Config, {"DEMO_TOKEN_FILE": str(tmp_path / "token")}).token == " se cret "


def test_a_file_and_its_variable_exclude_each_other() -> None:
    assert complaints({"DEMO_TOKEN": "a", "DEMO_TOKEN_FILE": "/b"}) == (
        "DEMO_TOKEN and DEMO_TOKEN_FILE are both set: expected one of them",
    )


def test_a_file_that_gives_nothing_is_reported_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")

    assert complaints({"DEMO_TOKEN_FILE": "/does/not/exist"}) == (
        "DEMO_TOKEN_FILE='/does/not/exist': expected a readable file (No such file or directory)",
    )
    assert complaints({"DEMO_TOKEN_FILE": f"{tmp_path}/empty"}) == (
        f"DEMO_TOKEN_FILE='{tmp_path}/empty': expected a file that is not empty",
    )
    assert complaints({"DEMO_TOKEN_FILE": f"{tmp_path}/binary"}) == (
        f"DEMO_TOKEN_FILE='{tmp_path}/binary': expected a readable file (not UTF-8 text)",
    )


# Unknown variables


def test_an_unknown_variable_with_the_prefix_is_named_with_its_nearest_relative() -> None:
    environ = {"DEMO_RETRY": "1", "DEMO_TOKEN_FILES": "x", "DEMO_ZZZZZZZZ": "", "PATH": "", "DEMO_WAIT_FILE": "/w"}

    assert list(settings.unknown(Config, environ, "DEMO_")) == [
        "DEMO_RETRY is not a setting; did you mean DEMO_RETRIES?",
        "DEMO_TOKEN_FILES is not a setting; did you mean DEMO_TOKEN_FILE?",
        "DEMO_ZZZZZZZZ is not a setting",
    ]


# Converters


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *(("30s", 30), ("10m", 600), ("4h", 14400), ("7d", 604800), ("2w", 1209600), ("1h30m", 5400), ("250ms", 0.25)),
        *(("0", 0), ("45", 45), ("1.5", 1.5), (" 10M ", 600), ("3650d", 315360000)),
    ],
)
def test_a_duration_is_read_in_seconds(value: str, seconds: float) -> None:
    assert settings.duration(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["", " ", "s", "-1", "-1s", "1 m", "10x", "1h-", "0x10", "1e3", "inf", "nan", "٣s"])
def test_what_is_no_duration_is_not_guessed(value: str) -> None:
    with pytest.raises(ValueError, match="a duration such as"):
        settings.duration(value)


@given(st.floats(min_value=0, max_value=settings.LONGEST_SECONDS), st.sampled_from(["", "s", "m", "h", "d"]))
def test_a_written_duration_is_read_back(number: float, unit: str) -> None:
    factor = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    written = f"{number / factor:.6f}{unit}"

    assert settings.duration(written) == pytest.approx(number, rel=1e-6, abs=1e-6 * factor)


@given(st.text() | st.text("0123456789.smhdw "))
def test_any_text_is_a_bounded_duration_or_a_value_error(value: str) -> None:
    seconds = accepted(settings.duration, value)

    assert isinstance(seconds, str) or (math.isfinite(seconds) and 0 <= seconds <= settings.LONGEST_SECONDS)


@pytest.mark.parametrize("value", ["11y", "3651d", "9" * 400, f"{'9' * 400}d", "315360001"])
def test_a_duration_is_ten_years_at_most(value: str) -> None:
    assert isinstance(accepted(settings.duration, value), str)


def test_a_positive_duration_is_longer_than_nothing() -> None:
    assert accepted(settings.positive_duration, "1ms") == pytest.approx(0.001)
    assert accepted(settings.positive_duration, "0s") == "a duration longer than 0s"


@pytest.mark.parametrize(("value", "truth"), [("True", True), (" on ", True), ("1", True), ("NO", False), ("0", False)])
def test_truth_is_read_in_any_case(value: str, truth: bool) -> None:
    assert settings.boolean(value) is truth


def test_what_is_neither_true_nor_false_is_not_guessed() -> None:
    assert accepted(settings.boolean, "maybe") == "true or false (yes/no, on/off, 1/0)"


@pytest.mark.parametrize("value", ["", "-1", "+1", "1.0", "1_000", "٣", "10000000000", "11"])
def test_a_whole_number_is_digits_within_its_bounds(value: str) -> None:
    assert accepted(settings.whole_number(minimum=0, maximum=10), value) == "a whole number, 0 to 10"


def test_a_whole_number_without_a_maximum_has_nine_digits_at_most() -> None:
    assert settings.whole_number()("999999999") == 999999999
    assert accepted(settings.whole_number(), "1" * 5000) == "a whole number, 0 or more"


def test_both_bounds_of_a_whole_number_belong_to_it() -> None:
    assert [settings.whole_number(minimum=1, maximum=10)(value) for value in (" 1 ", "10")] == [1, 10]


def test_a_choice_is_one_of_its_words_in_any_case() -> None:
    assert accepted(settings.choice("json", "console"), " JSON ") == "json"
    assert accepted(settings.choice("json", "console"), "xml") == "one of json, console"


def test_words_are_separated_by_commas_and_white_space() -> None:
    assert settings.words(" a,b ,c\n d,, ") == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("0.0.0.0:9180", Address("0.0.0.0", 9180)),
        ("[::1]:80", Address("::1", 80)),
        ("localhost:0", Address("localhost", 0)),
    ],
)
def test_an_address_to_listen_on_is_read_and_printed_alike(value: str, address: Address) -> None:
    assert settings.listen_address(value) == address
    assert str(address) == value


@pytest.mark.parametrize("value", ["9180", ":9180", "host:", "host:http", "host:65536", "host:-1"])
def test_what_is_no_address_is_not_guessed(value: str) -> None:
    assert "host:port" in str(accepted(settings.listen_address, value))


def test_a_path_is_absolute() -> None:
    assert accepted(settings.path, "/var/lib/demo") == Path("/var/lib/demo")
    assert accepted(settings.path, "demo") == "an absolute path"


def test_addresses_are_separated_by_white_space_and_by_a_comma_before_a_scheme() -> None:
    value = "mailto://u:p@example.com?to=a@x.org,b@x.org, json://host\ntgram://token/chat"

    assert settings.urls("json://a,JSON://b") == ("json://a", "JSON://b")
    assert settings.urls(value) == ("mailto://u:p@example.com?to=a@x.org,b@x.org", "json://host", "tgram://token/chat")


@pytest.mark.parametrize("value", ["json", "json://a b", "://a", "json://", "1json://a"])
def test_what_is_no_url_is_not_taken_for_one(value: str) -> None:
    with pytest.raises(ValueError, match="Apprise URLs"):
        settings.urls(value)


@pytest.mark.parametrize("value", ["example.com", "ftp://example.com", "https://", "https:///path", "javascript:x"])
def test_an_http_address_has_its_scheme_and_a_host(value: str) -> None:
    assert accepted(settings.http_url, value) == "an http:// or https:// address"


# The table


def test_the_table_has_a_row_of_three_cells_for_each_variable() -> None:
    lines = settings.table(CommonSettings).splitlines()

    assert len(lines) == 2 + len(list(settings.variables(CommonSettings)))
    assert {line.count(" | ") for line in lines} == {2}


def test_the_table_says_name_default_and_meaning() -> None:
    assert "| `DEMO_RETRIES` | `3` | tries |" in settings.table(Config).splitlines()
    assert "| `DEMO_TOKEN` |  | password |" in settings.table(Config).splitlines()
