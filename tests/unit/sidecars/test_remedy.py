"""The lines that mend a finding."""

from pathlib import Path

import yaml

from lab.deployed import container
from sidecars import remedy

SHIPPED = yaml.safe_load((Path(__file__).parents[3] / "compose.wildduck.yml").read_text())["services"]


def test_a_healthcheck_that_is_proposed_is_the_one_that_is_shipped() -> None:
    shipped = {
        container(name).kind: SHIPPED[name]["healthcheck"]
        for name in SHIPPED
        if "healthcheck" in SHIPPED[name] and container(name).kind
    }

    proposed = {
        kind: yaml.safe_load(remedy.healthcheck(container(kind)))["services"][kind]["healthcheck"] for kind in shipped
    }

    assert set(shipped) == set(remedy.HEALTHCHECKS)
    assert proposed == shipped


def test_of_an_unknown_service_the_form_of_a_healthcheck_is_given() -> None:
    lines = yaml.safe_load(remedy.healthcheck(container("other")))

    assert lines["services"]["other"]["healthcheck"]["test"][0] == "CMD-SHELL"
