"""How much the mail servers log."""

import pytest

from lab.deployed import agent, container, examine, ids
from sidecars import levels
from sidecars.facts import Container
from sidecars.levels import Level

INI, TOML, INCLUDED = "/app/config/log.ini", "/wildduck/config/default.toml", "/app/config/log.toml"


@pytest.mark.parametrize(
    ("path", "text", "level"),
    [
        (INI, "[main]\nlevel=NOTICE\n", "notice"),
        (INI, "; level=x\n[main]\nlevel = LOGINFO\ntimestamps\n", "info"),
        (INI, "level=info\n", None),
        (INI, "[main]\n", None),
        (TOML, '[log]\nlevel = "silly"\n[log.gelf]\nenabled = false\n', "silly"),
        (TOML, 'level = "silly"\n', None),
        (TOML, "[log]\nlevel = 3\n", None),
        (TOML, "[log\n", None),
        (INCLUDED, 'level = "Info"\n', "info"),
    ],
)
def test_the_level_is_read_from_where_the_server_reads_it(path: str, text: str, level: str | None) -> None:
    found = levels.read(path, text)

    assert (found.name if found else None) == level


def test_of_several_files_the_first_that_says_something_counts() -> None:
    texts = {"/a.toml": "[other]\n", "/b.toml": '[log]\nlevel = "warn"\n', "/c.toml": '[log]\nlevel = "info"\n'}

    assert levels.first(("/absent.toml", *texts), texts.get) == Level("warn", "/b.toml")
    assert levels.first(("/absent.toml",), texts.get) is None


def logged(kind: str) -> Container:
    return container(kind, labels={"logban": "true"})


@pytest.mark.parametrize(
    ("kind", "level", "found"),
    [
        ("haraka", "info", []),
        ("haraka", "protocol", []),
        ("haraka", "notice", ["log_level"]),
        ("wildduck", "silly", []),
        ("wildduck", "warn", ["log_level"]),
        ("zonemta", "info", []),
        ("zonemta", "error", ["log_level"]),
        ("zonemta", "silly", ["log_level"]),
    ],
)
def test_a_level_that_hides_handshakes_or_shows_passwords_is_found(kind: str, level: str, found: list[str]) -> None:
    one = logged(kind)

    assert ids(one, agent("logban"), levels={one.row.id: Level(level, TOML)}) == found


def test_the_remedy_names_the_file_or_the_variable() -> None:
    one = logged("zonemta")

    (by_file,) = examine(one, agent("logban"), levels={one.row.id: Level("warn", INCLUDED)})
    (by_variable,) = examine(one, agent("logban"), levels={one.row.id: Level("warn", "APPCONF_log_level")})

    assert by_file.remedy == f'in {INCLUDED}, under [log]: level = "info"; then docker restart mail-zonemta-1'
    assert '      APPCONF_log_level: "info"' in by_variable.remedy


def test_lines_that_go_to_a_gelf_server_are_missed() -> None:
    one = logged("wildduck")
    told = levels.read(TOML, '[log]\nlevel = "info"\n[log.gelf]\nenabled = true\n')

    assert told
    (found,) = examine(one, agent("logban"), levels={one.row.id: told})
    assert "GELF" in found.evidence
