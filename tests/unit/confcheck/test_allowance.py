from pathlib import Path

import pytest

from confcheck import look as looking
from confcheck.look import Look, book
from lab.confcheck import copied, spoiled
from sidecarkit.errors import SettingsError


def seen(root: Path, allow: str) -> Look:
    path = root.parent / "allow.yml"
    path.write_text(allow)
    return looking.look(root, book(Path("/nowhere"), path), "production")


def test_a_finding_with_a_reason_is_silenced_and_kept_apart(tmp_path: Path) -> None:
    root = copied(tmp_path)
    spoiled(root, "zone-mta/zonemta.toml", "port = 12080", 'port = 12080\nhost = "0.0.0.0"')

    look = seen(root, "allow: [{rule: zonemta-api-open, reason: It has a network of its own.}]")

    assert look.findings == ()
    assert [(each.rule, by.reason) for each, by in look.silenced] == [
        ("zonemta-api-open", "It has a network of its own.")
    ]
    assert look.unused == ()


def test_only_the_files_that_it_names_are_covered(tmp_path: Path) -> None:
    root = copied(tmp_path)
    spoiled(root, "zone-mta/pools.toml", "mail.postbox.test", "example.com")
    spoiled(root, "haraka/me", "mail.postbox.test", "example.com")

    look = seen(root, "allow: [{rule: leftover-example, file: haraka/*, reason: A laboratory.}]")

    assert [each.file for each in look.findings] == ["zone-mta/pools.toml"]


def test_an_allowance_that_silences_nothing_is_told(tmp_path: Path) -> None:
    look = seen(copied(tmp_path), "allow: [{rule: leftover-example, file: haraka/*, reason: A laboratory.}]")
    assert [str(each) for each in look.unused] == ["leftover-example in haraka/*"]


@pytest.mark.parametrize(
    ("allow", "complaint"),
    [
        ("allow: [{rule: syntax}]", "allow[0]: 'reason' is missing"),
        ('allow: [{rule: syntax, reason: "  "}]', "allow[0].reason: '  ' does not look like a reason"),
        ("allow: [{rule: sintax, reason: x}]", "allow[0].rule: there is no rule 'sintax'; did you mean 'syntax'?"),
        ("allow: [{rule: syntax, reason: x, line: 3}]", "allow[0].line: unknown; known are rule, file, reason"),
        ("[]", "document: expected object, found []"),
    ],
)
def test_without_a_reason_or_a_rule_nothing_is_silenced(tmp_path: Path, allow: str, complaint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        seen(copied(tmp_path), allow)
    assert complaint in str(caught.value)


def test_what_is_wrong_with_the_rules_and_with_the_allow_list_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text("rules: {x: 1}")
    (tmp_path / "allow.yml").write_text("allow: [{rule: syntax}, 3, {rule: x, reason: It is mine.}]")
    with pytest.raises(SettingsError) as caught:
        book(tmp_path / "rules.yml", tmp_path / "allow.yml")
    assert [each.partition(": ")[2].partition(":")[0] for each in caught.value.complaints] == [
        "rules.x", "allow[0]", "allow[1]",
    ]  # fmt: skip


def test_a_rule_that_is_not_there_is_told_beside_what_else_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        seen(copied(tmp_path), "allow: [{rule: syntax}, {rule: sintax, reason: x}, {rule: 3}]")
    assert "allow[0]: 'reason' is missing" in str(caught.value)
    assert "allow[1].rule: there is no rule 'sintax'" in str(caught.value)
