"""What the demonstration shows where no engine can run says what its words promise."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_of_the_two_clients_in_the_sample_log_one_would_be_banned() -> None:
    (line,) = [
        line for line in (ROOT / "scripts/demo.d/without-engine").read_text().splitlines() if "bin/logban test" in line
    ]
    sample = ROOT / line.split()[2]

    done = subprocess.run(
        [sys.executable, "-m", "logban", "test", "--json", sample], capture_output=True, text=True, check=True
    )

    told = {one["ip"]: (one["kinds"], one["would_ban"]) for one in json.loads(done.stdout)["sources"]}
    assert told == {"198.51.100.66": ({"legacy_tls": 5}, True), "198.51.100.77": ({"legacy_tls": 1}, False)}
