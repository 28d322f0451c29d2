# Images of prov_worker, on Debian's own Python 3.11.
#
#   worker     what runs on compute nodes: Globus Compute's worker, recorder and agent; no plots but SVG
#   endpoint   the daemon, all commands, PNG plots, and the local web service
#
#   docker build --target worker --tag prov-worker:$(scripts/image-tag.sh) .
#
# BASE is the base image; a release names it by its digest (scripts/release.sh).
#
# Distributions come with hashes (docker/requirements, written by scripts/lock-requirements.sh). Both images run without
# rights: no capability, any user id, a read-only root; what they write goes to /var/lib/prov, /tmp and /run/prov.

ARG BASE=debian:bookworm-slim

FROM $BASE AS base
# ca-certificates first: all that is asked for afterwards may need them.
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt,sharing=locked \
    rm -f /etc/apt/apt.conf.d/docker-clean \
    && export DEBIAN_FRONTEND=noninteractive \
    && apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends ca-certificates >/dev/null \
    && apt-get install -qq -y --no-install-recommends libnss-extrausers python3 tini >/dev/null \
    && rm -rf /var/log/apt /var/log/dpkg.log /var/cache/debconf/*-old

FROM base AS build
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt,sharing=locked \
    export DEBIAN_FRONTEND=noninteractive \
    && apt-get install -qq -y --no-install-recommends python3-venv >/dev/null
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_COMPILE=1 PIP_REQUIRE_HASHES=1 PIP_ROOT_USER_ACTION=ignore
COPY docker/requirements/build.txt /build/
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /build/venv \
    && /build/venv/bin/pip install -q -r /build/build.txt \
    && python3 -m venv --without-pip /opt/prov
COPY docker/requirements/worker.txt /build/
RUN --mount=type=cache,target=/root/.cache/pip \
    /build/venv/bin/pip --python /opt/prov/bin/python install -q -r /build/worker.txt

FROM build AS build-endpoint
COPY docker/requirements/endpoint.txt /build/
RUN --mount=type=cache,target=/root/.cache/pip \
    /build/venv/bin/pip --python /opt/prov/bin/python install -q -r /build/endpoint.txt

# The wheel, as users install it; changes of the sources end here and do not reach the distributions above.
FROM build AS wheel
COPY pyproject.toml README.md LICENSE /build/source/
COPY src /build/source/src
COPY endpoint_configs /build/source/endpoint_configs
RUN PIP_REQUIRE_HASHES=0 /build/venv/bin/pip wheel -q --no-deps --no-build-isolation --wheel-dir /build/dist /build/source

# Compiled here: on a read-only root Python could not keep what it compiles. Not checked against the sources, whose times
# a copy may change. Tests of distributions are left out.
FROM build AS worker-venv
COPY --from=wheel /build/dist /build/dist
COPY scripts/image-finish.sh /build/
RUN /build/image-finish.sh

FROM build-endpoint AS endpoint-venv
COPY --from=wheel /build/dist /build/dist
COPY scripts/image-finish.sh /build/
RUN /build/image-finish.sh

FROM base AS ready
# A volume takes owner and mode from the image: any user id may make its folders there. Readable by nobody, tini cannot be
# looked into by its own user, nor can the environment it was started with (proc(5), dumpable).
RUN groupadd --gid 1000 prov \
    && useradd --uid 1000 --gid 1000 --home-dir /var/lib/prov --no-create-home --shell /bin/bash prov \
    && install -d -m 1777 /var/lib/prov /crates /run/prov \
    && sed -i 's/^\(passwd\|group\):.*files.*/& extrausers/' /etc/nsswitch.conf \
    && mkdir -p /var/lib/extrausers \
    && ln -s /run/prov/passwd /run/prov/group /var/lib/extrausers/ \
    && install -m 0711 /usr/bin/tini /usr/local/bin/tini
ENV HOME=/var/lib/prov \
    LANG=C.UTF-8 \
    PATH=/opt/prov/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /var/lib/prov
USER 1000:1000
ARG BASE
ARG VERSION=unknown
ARG GLOBUS_COMPUTE=unknown
ARG PARSL=unknown
LABEL org.opencontainers.image.vendor="prov_worker" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="$BASE" \
      org.opencontainers.image.version="$VERSION" \
      prov-worker.globus-compute="$GLOBUS_COMPUTE" \
      prov-worker.parsl="$PARSL"

FROM ready AS worker
LABEL org.opencontainers.image.title="prov_worker worker" \
      org.opencontainers.image.description="Globus Compute workers whose tasks leave RO-Crates"
COPY --from=worker-venv /opt/prov /opt/prov
ENTRYPOINT ["/usr/local/bin/tini", "--"]
CMD ["prov-worker", "--help"]

FROM ready AS endpoint
LABEL org.opencontainers.image.title="prov_worker endpoint" \
      org.opencontainers.image.description="A Globus Compute endpoint whose tasks leave RO-Crates, and a local web service"
# Copies between the directories that stand for collections in a rehearsal of Globus Transfer.
USER 0:0
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt,sharing=locked \
    export DEBIAN_FRONTEND=noninteractive \
    && apt-get install -qq -y --no-install-recommends rsync >/dev/null \
    && rm -rf /var/log/apt /var/log/dpkg.log /var/cache/debconf/*-old
USER 1000:1000
COPY --from=endpoint-venv /opt/prov /opt/prov
COPY docker/entrypoint.py docker/endpoint.yaml docker/health.py docker/agentlog.py docker/rabbitmq.conf /opt/prov/container/
COPY examples /opt/prov/examples
ENTRYPOINT ["/usr/local/bin/tini", "--", "/opt/prov/container/entrypoint.py"]
CMD ["endpoint"]
