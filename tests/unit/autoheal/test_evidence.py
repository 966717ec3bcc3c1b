"""Evidence: without secrets, bounded, and valid JSON whatever a probe printed."""

import io
import json
import logging
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoheal import evidence, ledger, notices
from autoheal.evidence import LONGEST_LINE, LONGEST_LOG, LONGEST_OUTPUT, last_output, log_lines, of
from autoheal.health import Examination
from autoheal.ledger import Ledger, Subject
from autoheal.treatment import Treatment
from lab.stage import NOON, Actor
from sidecarkit import logs, state

SECRETS = ("DB_PASSWORD=hunter2secret", "REDIS_URL=redis://user:p4ssw0rd@redis:6379/3", "TZ=Europe/Tallinn")


def said(*outputs: str, environment: tuple[str, ...] = ()) -> Examination:
    """Examine a container whose probes failed with these outputs, one a second."""
    failed_at = [NOON + number for number in range(len(outputs))]
    actor = Actor("haraka", health="unhealthy", streak=3, outputs=list(outputs), failed_at=failed_at)
    actor.environment = environment
    return actor.examination(NOON + 60)


# Probes


def test_a_record_holds_streak_exit_code_oom_flag_and_every_probe() -> None:
    actor = Actor("haraka", health="unhealthy", streak=4, exit_code=137, oom_killed=True)
    actor.failed_at, actor.outputs = [NOON], ["connection refused"]

    assert of(actor.examination(NOON)) == {
        "failing_streak": 4,
        "exit_code": 137,
        "oom_killed": True,
        "probes": [{"start": NOON - 0.1, "end": NOON, "exit_code": 1, "output": "connection refused"}],
    }


def test_secrets_of_the_environment_are_masked_in_what_probes_said() -> None:
    examination = said(
        "auth hunter2secret failed at redis://user:p4ssw0rd@redis in Europe/Tallinn", environment=SECRETS
    )
    kept = json.dumps(of(examination)) + last_output(examination)

    assert "hunter2secret" not in kept and "p4ssw0rd" not in kept
    assert "Europe/Tallinn" in kept


def test_an_output_is_capped_after_it_was_masked() -> None:
    secret = "s" * 100
    examination = said("x" * (LONGEST_OUTPUT - 50) + secret, environment=(f"API_TOKEN={secret}",))

    (probe,) = of(examination)["probes"]

    assert probe["output"] == "x" * (LONGEST_OUTPUT - 50) + "***"
    assert len(of(said("y" * 9000))["probes"][0]["output"]) == LONGEST_OUTPUT


def test_the_last_output_is_that_of_the_newest_probe_on_one_short_line() -> None:
    assert last_output(said("old", "new\n\tline  two\n")) == "new line two"
    assert last_output(said("z" * 1000)) == "z" * 300
    assert last_output(said()) == ""


# Log lines


def test_log_lines_are_text_whatever_bytes_were_printed() -> None:
    assert log_lines([b"ok", b"\xff\x00\xfe caf\xc3\xa9", b""], ()) == ["ok", "\ufffd\x00\ufffd café", ""]


def test_secrets_are_masked_in_log_lines() -> None:
    kept = log_lines([b"login with hunter2secret", b"GET redis://user:p4ssw0rd@redis"], SECRETS)

    assert kept == ["login with ***", "GET redis://user:***@redis"]


def test_a_private_key_that_spans_lines_is_masked_as_one() -> None:
    key = [b"-----BEGIN PRIVATE KEY-----", b"MIIEvQIBADANBg", b"-----END PRIVATE KEY-----"]

    assert log_lines([b"before", *key, b"after"], ()) == ["before", "***", "after"]


def test_a_secret_is_masked_before_a_long_line_is_cut() -> None:
    (line,) = log_lines([b"x" * (LONGEST_LINE - 5) + b"hunter2secret"], SECRETS)

    assert line == "x" * (LONGEST_LINE - 5) + "***"


def test_of_too_much_log_the_newest_lines_are_kept() -> None:
    lines = [f"{number:04} {'x' * 1019}".encode() for number in range(100)]

    kept = log_lines(lines, ())

    assert len(kept) == LONGEST_LOG // 1024
    assert kept[-1].startswith("0099") and kept[0].startswith("0036")


def test_a_line_counts_only_with_what_is_kept_of_it() -> None:
    assert len(log_lines([b"x" * 50_000] * 40, ())) == LONGEST_LOG // LONGEST_LINE


def test_no_log_is_no_evidence() -> None:
    assert log_lines([], SECRETS) == []


@pytest.mark.parametrize(
    "hostile", ["a-" * 30_000, "a://" * 15_000, "-----BEGIN " * 6_000, "a://b:" * 10_000, "basic " * 10_000]
)
def test_masking_takes_no_longer_for_what_an_attacker_writes_into_a_log(hostile: str) -> None:
    began = time.process_time()

    log_lines([hostile.encode()], SECRETS)

    assert time.process_time() - began < 0.5


# Whatever a probe printed

OUTPUTS = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="\"'\\\n\r\t\0{}[],:<>&\x1b\u2028\ud7ff\ufffd", max_size=60),
    st.binary(max_size=60).map(lambda raw: raw.decode(errors="replace")),
    st.sampled_from(['"' * 4096, "\0" * 4096, "\\" * 4096, "\n" * 4096, "ÿ" * 2048, "💥" * 1024, "]}" * 2048]),
)
SUBJECT = Subject("4f" * 32, "mail-haraka-1", "mail", "haraka")
BATCH = 100


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


def test_ten_thousand_outputs_stay_valid_json_in_record_log_line_and_notice(memory: Path) -> None:
    book = Ledger(memory, logs.get("autoheal"))
    book._database.execute("PRAGMA synchronous = OFF")  # thousands of records, and no power cut to fear
    reader = state.open_read_only(memory / ledger.FILE)
    printed = io.StringIO()
    handler = logging.StreamHandler(printed)
    handler.setFormatter(logs.JsonFormatter())
    logger = logging.Logger("autoheal")  # noqa: LOG001 - of its own, so that nothing else hears it
    logger.addHandler(handler)
    tried = 0

    @settings(max_examples=10_000 // BATCH, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(OUTPUTS, min_size=BATCH, max_size=BATCH))
    def stays_valid(outputs: list[str]) -> None:
        nonlocal tried
        tried += len(outputs)
        examination = said(*outputs)
        # The engine keeps five probes of a container, and so does the stage.
        for first in range(0, BATCH, 5):
            part = said(*outputs[first : first + 5])
            with book.together():
                record = book.record(SUBJECT, "heal", "unhealthy", **of(part))
            found = ledger.read_record(reader, record)
            assert found is not None
            assert [probe["output"] for probe in json.loads(json.dumps(found))["probes"]] == [
                probe["output"] for probe in of(part)["probes"]
            ]
        output = last_output(examination)
        logger.info("heal_begun", extra={"facts": {"container": "haraka", "output": output, "all": outputs}})
        line = printed.getvalue()
        printed.seek(0)
        printed.truncate()
        assert line.count("\n") == 1 and json.loads(line)["all"] == outputs

        for notice in notices_about(examination):
            document = {"title": notice.title, "body": notice.body, **notice.facts}
            assert json.loads(json.dumps(document)) == document
            assert "\n" not in notice.title

    try:
        stays_valid()
    finally:
        book.close()
        reader.close()
    assert tried >= 10_000


def notices_about(examination: Examination) -> list[notices.Notice]:
    output = evidence.last_output(examination)
    treatment = Treatment(1, "4f" * 32, "unhealthy", 1, "restart", NOON, NOON, examination.container, output)
    return [
        notices.sick(SUBJECT, "unhealthy", "notify", output),
        notices.given_up(SUBJECT, 5, output),
        notices.outcome(SUBJECT, treatment, "still_failing", None, 5, None),
    ]
