"""A log made to exhaust whoever reads it."""

import json
import os
import subprocess
import sys
from pathlib import Path

SOURCES = 1_000_000
ROOT = Path(__file__).parents[3]
ERROR = "C0D1AC35EE7F0000:error:0A000102:SSL routines:f:unsupported protocol:../s.c:1:"
# Runs a command and tells the most memory it has had, in KiB.
RUN = """
import sys
from logban import program
from sidecarkit import command
status = command.main(program.LOGBAN, sys.argv[1:], {})
sys.stderr.write(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
sys.exit(status)
"""


def test_a_line_of_16_mib_and_a_million_ipv6_sources_stay_within_120_mib(tmp_path: Path) -> None:
    file = tmp_path / "hostile.log"
    with file.open("w") as out:
        out.write("x" * (16 << 20) + f" ERR! lcdq2cve5cs80jq8 192.0.2.7 {ERROR}\n")
        out.writelines(f"ERR! {n:016} 2001:db8:{n >> 16:x}:{n & 0xFFFF:x}::1 {ERROR}\n" for n in range(SOURCES))
        out.write(f"ERR! {SOURCES:016} 192.0.2.8 {ERROR}\n")

    done = subprocess.run(
        [sys.executable, "-c", RUN, "test", "--json", "--filter", "zonemta", "--", str(file)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'agents'}:{ROOT / 'common'}"},
        capture_output=True,
        text=True,
        check=True,
    )

    found = json.loads(done.stdout)
    assert found["lines"] == SOURCES + 2
    assert not any(each["ip"] == "192.0.2.7" for each in found["sources"])  # it stood in what a client wrote
    assert found["offences_of_sources_not_listed"] == SOURCES + 1 - len(found["sources"])
    assert int(done.stderr) < 120 * 1024, f"{int(done.stderr) // 1024} MiB at most"
