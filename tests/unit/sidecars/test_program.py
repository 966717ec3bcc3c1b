"""The command line of the suite."""

import pytest

from sidecarkit.metrics import package_version
from sidecars.program import main


def test_version_and_help_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    for words, told in (
        (["--version"], f"sidecars {package_version()}\n"),
        (["doctor", "--help"], "0 nothing is wrong"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(words)

        assert ended.value.code == 0
        assert told in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["nurse"], ["doctor", "--fix"], ["doctor", "--project"], ["doctor", "--js"]])
def test_words_that_it_does_not_know_end_with_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)

    assert ended.value.code == 2


def test_a_wrong_setting_ends_with_2_and_every_complaint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"], {"DOCKER_HOST": "ftp://engine"}) == 2
    assert "DOCKER_HOST='ftp://engine'" in capsys.readouterr().err


def test_an_engine_that_does_not_answer_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"], {"DOCKER_HOST": "unix:///nowhere/docker.sock"}) == 2
    assert capsys.readouterr() == (
        "",
        "sidecars: the engine cannot be looked at: ping: [Errno 2] No such file or directory\n",
    )
