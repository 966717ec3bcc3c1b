"""Fifteen hundred swaps of real files, and a reader that never pauses."""

import gc
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest
from prometheus_client import CollectorRegistry

from certsync import forms
from certsync.alarms import Alarms
from certsync.certificate import Offer
from certsync.delivery import Delivery
from certsync.forms import Form
from certsync.ledger import SCHEMA, Attic, Ledger
from certsync.loop import Changed, Loop, Times
from certsync.metrics import Metrics
from certsync.policy import Wanted
from certsync.progress import Progress
from certsync.source import AcmeJson
from certsync.store import Store
from certsync.target import Output, Target, Touch
from certsync.work import Put, Reloaded, Result
from lab.authority import Authority, acme_json, entry
from lab.certsync import write_as_traefik_does
from sidecarkit import logs, state
from sidecarkit.liveness import Liveness
from sidecarkit.notify import Notifier

SWAPS = 1500
NAME = "mail.example.com"
FILES = {Form.CERTIFICATE: "c.pem", Form.KEY: "k.pem", Form.COMBINED: "both.pem"}

# Reads all files over and over until its standard input ends; says how often, and what each file has ever held.
READER = """
import hashlib, json, os, selectors, sys
folder, names = sys.argv[1], sys.argv[2:]
seen, reads, waiting = {name: set() for name in names}, 0, selectors.DefaultSelector()
waiting.register(0, selectors.EVENT_READ)
print("reading", flush=True)
while not waiting.select(0):
    for _ in range(200):
        reads += 1
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                seen[name].add(hashlib.sha256(file.read()).hexdigest())
print(json.dumps({"reads": reads, "seen": {name: sorted(held) for name, held in seen.items()}}))
"""


@dataclass
class Witness:
    """A consumer that, in the moment it is told, reads the files as it would to serve them."""

    folder: Path
    whole: dict[Form, set[str]] = field(default_factory=lambda: {form: set() for form in FILES})
    served: list[Offer] = field(default_factory=list)

    def reload(self, target: Target, pair: Offer | None, known: Progress, put: Put) -> bool:
        content = {form: (self.folder / name).read_bytes() for form, name in FILES.items()}
        two = forms.read_back({form: content[form] for form in (Form.CERTIFICATE, Form.KEY)})
        both = forms.read_back({Form.COMBINED: content[Form.COMBINED]})
        assert two is not None
        assert two.flaw is None, "key and certificate belong together"
        assert pair is not None
        assert two.identity == pair.identity == known.identity
        assert both is not None
        assert both.flaw is None
        assert both.identity == pair.identity
        for form, held in content.items():
            assert held == forms.render(form, pair)
            self.whole[form].add(hashlib.sha256(held).hexdigest())
        self.served.append(pair)
        put(Result(target.name, known.identity, Reloaded("read", 0.0)))
        return True

    def probe(self, *_: object) -> NoReturn:
        raise AssertionError("the target names nothing to look at")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Keep the files in memory where there is such a place: 1,500 swaps are some 10,000 flushes of a busy disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="sidecars-swaps-", dir=memory if memory.is_dir() else None) as made:
        for name in ("out", "state/journals", "state/previous"):
            (Path(made) / name).mkdir(parents=True)
        yield Path(made)


@pytest.fixture
def frozen_heap() -> Iterator[None]:
    """Set the tests' own objects aside: certsync collects its garbage after each reading, and theirs are not its."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def loop_of(folder: Path, witness: Witness) -> Loop:
    """Make certsync's loop with one target that gets all three files, and *witness* behind it."""
    log, registry, liveness = logs.get("test"), CollectorRegistry(), Liveness()
    metrics = Metrics(registry)
    outputs = tuple(Output(form, str(folder / "out" / name), 0o600) for form, name in FILES.items())
    database = state.open_database(folder / "state" / "certsync.db", SCHEMA, log)
    made = Loop(
        sources=(AcmeJson("traefik", folder / "acme.json"),),
        static=(Target(name="mail", wanted=Wanted((NAME,)), outputs=outputs, reload=Touch("/nowhere")),),
        delivery=Delivery(
            Store(folder / "state" / "journals"), Ledger(database), Attic(folder / "state" / "previous"), log
        ),
        work=witness,  # type: ignore[arg-type]
        metrics=metrics,
        liveness=liveness,
        alarms=Alarms(metrics, liveness, Notifier([], log), log),
        log=log,
        times=Times(settle=0.0),
    )
    made.start()
    return made


@pytest.mark.usefixtures("frozen_heap")
def test_of_1500_swaps_a_reader_sees_whole_files_only_and_each_reload_finds_the_new_pair(
    folder: Path, authority: Authority
) -> None:
    """Of two files each is always whole, the combined one always a pair, and nobody is told before all are there."""
    witness = Witness(folder / "out")
    loop = loop_of(folder, witness)

    def swap(number: int) -> None:
        issued = authority.issue(NAME, number=number % 7, days=30 + number / 100)
        write_as_traefik_does(folder / "acme.json", acme_json(le=[entry(issued)]))
        loop.handle(Changed())
        loop.turn()
        loop.handle(loop.inbox.get(timeout=60))
        assert (folder / "out" / FILES[Form.CERTIFICATE]).read_bytes() == issued.chain_pem

    swap(0)
    command = [sys.executable, "-c", READER, str(folder / "out"), *FILES.values()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
        for number in range(1, SWAPS + 1):
            swap(number)
        output, _ = reader.communicate()

    told = json.loads(output)
    assert reader.returncode == 0
    assert len(witness.served) == SWAPS + 1
    for form, name in FILES.items():
        assert set(told["seen"][name]) <= witness.whole[form], f"{name} held something that was never delivered"
    assert told["reads"] >= 5_000
    assert len(told["seen"]["both.pem"]) >= 100
