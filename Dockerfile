# One target per agent, and one for the socket proxy: docker build --target autoheal --build-arg BASE_IMAGE=...
#
# After scripts/images the build needs no network: wheels and Debian's packages lie in .cache. Without it, as by a bare
# `docker build`, the same locked versions are downloaded (scripts/in-image). Nothing here is particular to BuildKit, so the
# engine's own builder can do it as well.

ARG BASE_IMAGE=python:3.11-slim-bookworm

# The common ground of every agent's packages: a virtual environment, and a pip that stays behind in this stage.
FROM ${BASE_IMAGE} AS builder
# The name by which `make clean` finds what a build leaves behind.
LABEL wildduck-sidecars.build=packages
COPY requirements/ /requirements/
COPY scripts/in-image .cache/wheels/*.whl /wheels/
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

# Our own wheel: the same bytes from the same source, so that what stands on it is built anew only after an edit.
FROM builder AS own-wheel
RUN /wheels/in-image packages build
COPY pyproject.toml README.md LICENSE /source/
COPY agents/ /source/agents/
COPY common/ /source/common/
RUN /wheels/in-image own-wheel

# In each agent's stages, what changes with every edit comes last.

# What runs: Python, the agent's packages, and neither pip nor compiler. python:slim comes with a pip and without the
# bytecode of its standard library, Debian's python3 the other way round.
FROM ${BASE_IMAGE} AS runtime
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/ensurepip /usr/local/lib/python3*/site-packages/pip* \
 && python3 -c 'import compileall, re, sysconfig; \
compileall.compile_dir(sysconfig.get_path("stdlib"), quiet=2, rx=re.compile("/(test|lib2to3|site-packages|dist-packages)/"))' \
 && groupadd --gid 10001 sidecars \
 && useradd --uid 10001 --gid sidecars --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin sidecars
ENV PATH=/opt/sidecars/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
LABEL wildduck-sidecars.build=agent org.opencontainers.image.licenses=MIT

FROM builder AS autoheal-packages
RUN /wheels/in-image packages autoheal
COPY --from=own-wheel /own-wheel/ /own-wheel/
RUN /wheels/in-image install

FROM runtime AS autoheal
# Before VOLUME, so that a new volume belongs to the user.
RUN install --directory --owner=sidecars --group=sidecars --mode=0750 /var/lib/autoheal
VOLUME /var/lib/autoheal
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["autoheal", "healthcheck"]
ENTRYPOINT ["autoheal"]
COPY --from=autoheal-packages /opt/sidecars /opt/sidecars
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="wildduck-sidecars autoheal" \
      org.opencontainers.image.description="Restarts containers whose healthcheck fails: at once, root cause first, with evidence" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION

FROM builder AS certsync-packages
RUN /wheels/in-image packages certsync
COPY --from=own-wheel /own-wheel/ /own-wheel/
RUN /wheels/in-image install

FROM runtime AS certsync
RUN install --directory --owner=sidecars --group=sidecars --mode=0750 /var/lib/certsync
VOLUME /var/lib/certsync
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["certsync", "healthcheck"]
ENTRYPOINT ["certsync"]
COPY --from=certsync-packages /opt/sidecars /opt/sidecars
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="wildduck-sidecars certsync" \
      org.opencontainers.image.description="Delivers Traefik's certificates to mail servers whole or not at all, and proves that they serve them" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION

# It asks nobody anything: the configuration folder, read-only, is all that it needs.
FROM builder AS confcheck-packages
RUN /wheels/in-image packages confcheck
COPY --from=own-wheel /own-wheel/ /own-wheel/
RUN /wheels/in-image install

FROM runtime AS confcheck
# Root's group, too: where only root may read the configuration, it runs as root without a single capability.
RUN install --directory --owner=sidecars --group=root --mode=0770 /var/lib/confcheck
VOLUME /var/lib/confcheck
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["confcheck", "healthcheck"]
ENTRYPOINT ["confcheck"]
COPY --from=confcheck-packages /opt/sidecars /opt/sidecars
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="wildduck-sidecars confcheck" \
      org.opencontainers.image.description="Finds what is left over, public, unequal or open in the stack's configuration files" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION

FROM builder AS stats-packages
RUN /wheels/in-image packages stats
COPY --from=own-wheel /own-wheel/ /own-wheel/
RUN /wheels/in-image install

FROM runtime AS stats
RUN install --directory --owner=sidecars --group=sidecars --mode=0750 /var/lib/stats
VOLUME /var/lib/stats
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["stats", "healthcheck"]
ENTRYPOINT ["stats"]
COPY --from=stats-packages /opt/sidecars /opt/sidecars
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="wildduck-sidecars stats" \
      org.opencontainers.image.description="One page that says whether mail flows, what was healed, what expires and who is banned" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION

# The doctor: run now and then by a person, on the host's network, with the engine's socket.
FROM builder AS sidecars-packages
RUN /wheels/in-image packages sidecars
COPY --from=own-wheel /own-wheel/ /own-wheel/
RUN /wheels/in-image install

FROM runtime AS sidecars
USER 10001:10001
ENTRYPOINT ["sidecars"]
CMD ["doctor"]
COPY --from=sidecars-packages /opt/sidecars /opt/sidecars
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="wildduck-sidecars sidecars" \
      org.opencontainers.image.description="Looks at a deployment of the suite and says what is wrong and what mends it" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION

FROM builder AS logban-packages
RUN /wheels/in-image packages logban
COPY --from=own-wheel /own-wheel/ /own-wheel/
RUN /wheels/in-image install

# Root, since only root keeps NET_ADMIN across exec: docker run --cap-drop ALL --cap-add NET_ADMIN --network host.
FROM runtime AS logban
COPY scripts/in-image .cache/debs/logban/*.deb /debs/
RUN /debs/in-image debs nftables iptables ipset
RUN install --directory --mode=0750 /var/lib/logban
VOLUME /var/lib/logban
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["logban", "healthcheck"]
ENTRYPOINT ["logban"]
COPY --from=logban-packages /opt/sidecars /opt/sidecars
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="wildduck-sidecars logban" \
      org.opencontainers.image.description="Reads containers' logs and has the kernel drop whoever probes their TLS" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION

# Between each agent and the engine: HAProxy with what that agent may ask for. It is no agent, and takes no Python package.
FROM runtime AS socket-proxy
COPY scripts/in-image .cache/debs/socket-proxy/*.deb /debs/
RUN /debs/in-image debs haproxy
ENTRYPOINT ["haproxy", "-db"]
COPY contrib/socket-proxy/ /etc/haproxy/
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="wildduck-sidecars socket-proxy" \
      org.opencontainers.image.description="Lets through to the Docker engine what one agent asks for, and nothing else" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION
