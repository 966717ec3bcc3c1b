import datetime as dt
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from certsync import certificate, forms
from certsync.certificate import Offer
from certsync.forms import Form
from certsync.policy import Wanted
from certsync.refusal import Reason, Refusal, RefusalError
from certsync.reload import Reloader
from certsync.target import Command, Exec, Http, Output, Reload, Restart, Signal, Target, Touch
from lab.authority import Authority
from lab.wire import wait_for
from sidecarkit.errors import ContainerGone, EngineUnavailable

WRITTEN_AT = dt.datetime(2026, 11, 22, 12, 0, 0, tzinfo=dt.UTC).timestamp()


class FakeEngine:
    """An engine with the containers it is given; notes what is asked of it."""

    def __init__(self, *containers: dict[str, Any], error: Exception | None = None, exit_code: int = 0) -> None:
        self._containers, self._error, self._exit_code = containers, error, exit_code
        self.asked: list[tuple[Any, ...]] = []

    def containers(self) -> list[dict[str, Any]]:
        if self._error:
            raise self._error
        return list(self._containers)

    def inspect(self, container: str) -> dict[str, Any]:
        return next(one for one in self._containers if one["Id"] == container)["Inspect"]

    def restart(self, container: str, stop_seconds: int | None, patience_seconds: float) -> int:
        self.asked.append(("restart", container, stop_seconds))
        return 204

    def kill(self, container: str, signal: str = "SIGKILL") -> int:
        self.asked.append(("kill", container, signal))
        return 204

    def post(self, operation: str, path: str, *, body: Any = None) -> int:
        self.asked.append((operation, path))
        return 200

    def post_json(self, operation: str, path: str, body: Any) -> Any:
        self.asked.append((operation, path, tuple(body["Cmd"])))
        return {"Id": "e1"}

    def get_json(self, operation: str, path: str) -> Any:
        return {"ExitCode": self._exit_code}


def container(
    name: str,
    *,
    state: str = "running",
    started: str = "2026-11-22T11:00:00.123456789Z",
    image: str = "x",
    service: str = "",
) -> dict[str, Any]:
    return {
        "Id": f"id-{name}",
        "Names": [f"/{name}"],
        "Image": image,
        "State": state,
        "Labels": {"com.docker.compose.service": service} if service else {},
        "Inspect": {"State": {"StartedAt": started}},
    }


def target(reload: Reload, *outputs: Output, domains: tuple[str, ...] = ("mail.example.com",)) -> Target:
    return Target(name="it", wanted=Wanted(domains), outputs=outputs, reload=reload)


@pytest.fixture(scope="module")
def pair() -> Offer:
    issued = Authority().issue("mail.example.com", kind="ec")
    return certificate.read("", certificate.certificates(issued.chain_pem), issued.key_pem())


def refusal_of(reloader: Reloader, aim: Target, pair: Offer) -> Refusal:
    with pytest.raises(RefusalError) as caught:
        reloader.perform(aim, pair, WRITTEN_AT)
    return caught.value.refusal


def test_touching_changes_the_time_and_nothing_else(tmp_path: Path, pair: Offer) -> None:
    ini = tmp_path / "tls.ini"
    ini.write_text("[main]\n")
    os.utime(ini, (1, 1))
    Reloader(None).perform(target(Touch(str(ini))), pair, WRITTEN_AT)
    assert ini.read_text() == "[main]\n"
    assert ini.stat().st_mtime > 1


def test_touching_makes_the_file_where_there_is_none(tmp_path: Path, pair: Offer) -> None:
    Reloader(None).perform(target(Touch(str(tmp_path / "tls.ini"))), pair, WRITTEN_AT)
    assert (tmp_path / "tls.ini").read_bytes() == b""
    missing = target(Touch(str(tmp_path / "absent" / "tls.ini")))
    assert refusal_of(Reloader(None), missing, pair).reason is Reason.RELOAD_FAILED


@pytest.mark.parametrize("name", ["stack-zonemta-1", "zonemta"])
def test_a_container_is_restarted_by_its_name_or_service(name: str, pair: Offer) -> None:
    engine = FakeEngine(container("stack-zonemta-1", service="zonemta"), container("other"))
    Reloader(engine).perform(target(Restart(name, stop_seconds=7)), pair, WRITTEN_AT)
    assert engine.asked == [("restart", "id-stack-zonemta-1", 7)]


def test_a_container_that_started_after_the_files_were_written_is_left_alone(pair: Offer) -> None:
    engine = FakeEngine(container("z", started="2026-11-22T12:00:00.5Z"))
    assert "by itself" in Reloader(engine).perform(target(Restart("z")), pair, WRITTEN_AT)
    assert engine.asked == []


@pytest.mark.parametrize("state", ["exited", "created", "restarting", "paused", "dead"])
def test_a_container_that_does_not_run_is_waited_for_not_started(state: str, pair: Offer) -> None:
    engine = FakeEngine(container("z", state=state))
    refusal = refusal_of(Reloader(engine), target(Restart("z")), pair)
    assert refusal.reason is Reason.CONTAINER_MISSING
    assert state in refusal.detail
    assert engine.asked == []
    assert refusal_of(Reloader(FakeEngine()), target(Restart("z")), pair).reason is Reason.CONTAINER_MISSING


@pytest.mark.parametrize(
    ("engine", "reason"),
    [
        (FakeEngine(error=EngineUnavailable("no socket")), Reason.RELOAD_FAILED),
        (FakeEngine(error=ContainerGone("gone", 404)), Reason.CONTAINER_MISSING),
        (None, Reason.RELOAD_FAILED),
    ],
)
def test_an_engine_that_does_not_help_is_told(engine: FakeEngine | None, reason: Reason, pair: Offer) -> None:
    assert refusal_of(Reloader(engine), target(Restart("z")), pair).reason is reason


def test_a_signal_is_sent_where_it_means_reload(pair: Offer) -> None:
    engine = FakeEngine(container("web", image="nginx:1"))
    Reloader(engine).perform(target(Signal("web", "HUP")), pair, WRITTEN_AT)
    assert engine.asked == [("kill", "id-web", "HUP")]


@pytest.mark.parametrize("image", ["ghcr.io/x/haraka:3", "louislau/zonemta-wildduck", "nodemailer/wildduck"])
def test_a_hangup_is_not_sent_to_an_image_that_it_harms_whatever_its_name(image: str, pair: Offer) -> None:
    engine = FakeEngine(container("mail", image=image))
    refusal = refusal_of(Reloader(engine), target(Signal("mail", "HUP")), pair)
    assert "SIGHUP does not reload" in refusal.detail
    assert engine.asked == []


def test_a_command_in_a_container_has_to_end_well(pair: Offer) -> None:
    aim = target(Exec("web", ("nginx", "-s", "reload")))
    engine = FakeEngine(container("web"))
    Reloader(engine).perform(aim, pair, WRITTEN_AT)
    assert engine.asked == [
        ("exec_create", "/containers/id-web/exec", ("nginx", "-s", "reload")),
        ("exec_start", "/exec/e1/start"),
    ]
    assert "status 3" in refusal_of(Reloader(FakeEngine(container("web"), exit_code=3)), aim, pair).detail


def test_a_command_knows_the_paths_and_no_secret(tmp_path: Path, pair: Offer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERTSYNC_API_TOKEN", "hidden")
    out = tmp_path / "env"
    aim = target(Command(("sh", "-c", f"env > {out}; cat >> {out}")), Output(Form.KEY, "/k.pem", 0o600))
    Reloader(None).perform(aim, pair, WRITTEN_AT)
    seen = out.read_text()
    assert "CERTSYNC_TARGET=it\n" in seen
    assert "CERTSYNC_KEY=/k.pem\n" in seen
    assert "hidden" not in seen


def test_a_command_that_fails_tells_its_last_words_without_keys(pair: Offer) -> None:
    words = "echo first >&2; printf -- '-----BEGIN PRIVATE KEY-----\\nc2VjcmV0\\n-----END PRIVATE KEY-----' >&2; exit 4"
    refusal = refusal_of(Reloader(None), target(Command(("sh", "-c", words))), pair)
    assert "status 4" in refusal.detail
    assert "c2VjcmV0" not in refusal.detail
    assert refusal_of(Reloader(None), target(Command(("/absent",))), pair).reason is Reason.RELOAD_FAILED


def test_a_command_that_hangs_is_killed_with_all_it_started(tmp_path: Path, pair: Offer) -> None:
    words = f"sh -c 'echo $$ > {tmp_path}/child; exec sleep 60' & wait"
    started = time.monotonic()
    assert (
        "killed" in refusal_of(Reloader(None, command_seconds=0.3), target(Command(("sh", "-c", words))), pair).detail
    )
    assert time.monotonic() - started < 10
    child = int((tmp_path / "child").read_text())
    wait_for(lambda: not _alive(child), "the child is gone")


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@contextmanager
def api(answers: Sequence[tuple[int, Any]]) -> Iterator[tuple[str, list[tuple[dict[str, str], Any]]]]:
    """Run an API that gives *answers* in turn (`echo`: what it was sent); lend its address and its requests."""
    requests: list[tuple[dict[str, str], Any]] = []
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            requests.append((dict(self.headers), json.loads(body) if body else None))
            status, answer = left.pop(0)
            content = body if answer == "echo" else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/certs", requests
    server.shutdown()
    server.server_close()


def test_wildduck_is_given_the_pair_for_each_domain_in_a_form_it_takes(tmp_path: Path, pair: Offer) -> None:
    (tmp_path / "token").write_text("t0ken\n")
    with api([(200, {"success": True}), (200, {"success": True})]) as (url, requests):
        aim = target(Http(url, token_file=tmp_path / "token"), domains=("a.example.com", "b.example.com"))
        Reloader(None).perform(aim, pair, WRITTEN_AT)
    assert [body["servername"] for _, body in requests] == ["a.example.com", "b.example.com"]
    headers, body = requests[0]
    assert headers["X-Access-Token"] == "t0ken"
    assert body["privateKey"].startswith("-----BEGIN PRIVATE KEY-----\n")
    assert body["cert"].count("BEGIN CERTIFICATE") == 2


def test_the_token_of_the_settings_serves_where_a_target_names_no_file(pair: Offer) -> None:
    with api([(200, {"success": True})]) as (url, requests):
        Reloader(None, api_token="general").perform(target(Http(url)), pair, WRITTEN_AT)
    assert requests[0][0]["X-Access-Token"] == "general"


def test_an_answer_that_echoes_the_key_is_not_repeated(pair: Offer) -> None:
    secret = forms.private_key(pair).decode().splitlines()[1]
    with api(
        [(400, "echo"), (200, {"code": "InputValidationError", "error": "echo"}), (400, {"code": f"x{secret}"})]
    ) as (url, _):
        for word in ("status 400", "InputValidationError", "status 400"):
            refusal = refusal_of(Reloader(None), target(Http(url)), pair)
            assert word in refusal.detail
            assert secret[:20] not in refusal.detail


def test_an_address_that_is_merely_called_gets_no_key(pair: Offer) -> None:
    with api([(204, None)]) as (url, requests):
        Reloader(None).perform(target(Http(url, wildduck=False)), pair, WRITTEN_AT)
    assert requests[0][1] is None


def test_an_api_that_is_away_is_a_failed_reload(pair: Offer) -> None:
    with api([]) as (url, _):
        pass
    refusal = refusal_of(Reloader(None), target(Http(url)), pair)
    assert refusal.reason is Reason.RELOAD_FAILED
    assert "refused" in refusal.detail
