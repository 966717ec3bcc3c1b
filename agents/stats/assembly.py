"""The sources that the settings name."""

from collections.abc import Iterator

from sidecarkit.engine import Engine
from stats.agents import Autoheal, Certsync, Confcheck, LogbanFigures, LogbanState
from stats.config import Config
from stats.containers import Containers
from stats.mailflow import Answering, OpenSearch, Rspamd, ZoneMta
from stats.mongo import Mongo
from stats.redis import Redis
from stats.source import Source

TIMEOUT_SECONDS = 2.0  # the longest that one look may take


def sources(config: Config, engine: Engine) -> list[Source]:
    """Make them, in the order of the page."""
    found: list[Source] = [Containers(engine, config.project, TIMEOUT_SECONDS)]
    if config.mongo_url:
        found.append(Mongo(config.mongo_url, TIMEOUT_SECONDS))
    if config.redis_url:
        found.append(Redis(config.redis_url, TIMEOUT_SECONDS))
    found += _over_http(config)
    if config.autoheal_url:
        found.append(Autoheal(config.autoheal_url, TIMEOUT_SECONDS))
    if config.certsync_url:
        found.append(Certsync(config.certsync_url, TIMEOUT_SECONDS))
    if config.confcheck_url:
        found.append(Confcheck(config.confcheck_url, TIMEOUT_SECONDS))
    if config.logban_state:
        found.append(LogbanState(config.logban_state, TIMEOUT_SECONDS))
    elif config.logban_url:
        found.append(LogbanFigures(config.logban_url, TIMEOUT_SECONDS))
    return found


def _over_http(config: Config) -> Iterator[Source]:
    if config.zonemta_url:
        yield ZoneMta(config.zonemta_url, TIMEOUT_SECONDS)
    if config.rspamd_url:
        yield Rspamd(config.rspamd_url, config.rspamd_password, TIMEOUT_SECONDS)
    if config.wildduck_url:
        yield Answering("wildduck", config.wildduck_url, "/", TIMEOUT_SECONDS)
    if config.webmail_url:
        yield Answering("webmail", config.webmail_url, "/favicon.ico", TIMEOUT_SECONDS)
    if config.opensearch_url:
        yield OpenSearch(config.opensearch_url, TIMEOUT_SECONDS)
