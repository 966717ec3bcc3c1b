from pathlib import Path

import pytest

from confcheck import values
from confcheck.values import NotRendered
from sidecarkit.errors import SettingsError


def read(folder: Path, text: str, name: str = "map.yml") -> values.Values:
    (folder / name).write_text(text)
    return values.read(folder / name)


def test_a_map_holds_strings_lists_and_names_of_files(tmp_path: Path) -> None:
    (tmp_path / "dqs").write_text("a-token\n")
    text = "MAIL_HOSTNAME: mail.postbox.test\n__DOMAINS__: [a.test, b.test]\nDQS_TOKEN: {file: dqs}\n"

    assert read(tmp_path, text) == {
        "MAIL_HOSTNAME": "mail.postbox.test", "DOMAINS": ("a.test", "b.test"), "DQS_TOKEN": "a-token",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"),
    [("map.json", '{"A": "x", "B": ["y"]}'), ("map.toml", 'A = "x"\nB = ["y"]\n'), ("map", "A: x\nB: [y]\n")],
)
def test_the_name_of_the_file_tells_its_format(tmp_path: Path, name: str, text: str) -> None:
    assert read(tmp_path, text, name) == {"A": "x", "B": ("y",)}


@pytest.mark.parametrize(
    "text", ['A: ""', "A:", "A: []", 'A: [x, ""]', "A: {file: nowhere}", "A: {file: empty}", "A: {file: bytes}"]
)
def test_a_value_that_is_missing_or_empty_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(NotRendered) as caught:
        read(tmp_path, f"B: canary\n{text}\n")
    assert len(caught.value.complaints) == 1
    assert "A" in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("map.yml", "[]"), ("map.yml", "A: 1"), ("map.yml", "A: true"), ("map.yml", "A: [x, 1]"), ("map.yml", "a: x"),
        ("map.yml", "A__B: x"), ("map.yml", "A: x\nA: y"), ("map.yml", "A: x\n__A__: y"), ("map.yml", "A: {files: x}"),
        ("map.yml", "A: [canary"), ("map.json", '{"A": canary}'), ("map.toml", "A = canary"), ("map.yml", "1: canary"),
        ("map.yml", "A: *canary"), ("map.yml", "A: !canary x"), ("map.yml", "A: !!int canary"),
        ("map.yml", "A: !!bool canary"), ("map.yml", "A: !!timestamp canary"), ("map.yml", "A: !!binary canaryx"),
    ],
)  # fmt: skip
def test_what_is_no_map_is_a_wrong_argument_and_its_values_are_not_told(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text, name)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("text", ["A: __B__", "A: [x, https://__B__/]", "A: {file: secret}"])
def test_a_value_that_is_a_placeholder_itself_is_refused_since_a_second_run_would_fill_it(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "secret").write_text("__CANARY__\n")
    with pytest.raises(NotRendered) as caught:
        read(tmp_path, f"B: x\n{text}\n")
    assert caught.value.complaints == [f"{tmp_path}/map.yml: A: has a placeholder for a value"]


def test_a_map_that_is_not_there_is_a_wrong_argument(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        values.read(tmp_path / "absent.yml")
