# The server: no torch, no build tools, no package manager; runs as uid 65532 on a read-only root file system.
#
#   docker build -f deploy/docker/inference.Dockerfile -t intent-classifier-inference .
#   docker build -f deploy/docker/inference.Dockerfile --target baked --build-arg MODEL=bundles/mine -t mine .
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
# "serve sign" for a server that can require signatures.
ARG EXTRAS=serve
# Before the source, so that a change of the source does not install them again.
RUN ./install.sh libraries ${EXTRAS} && ./install.sh slim && ./install.sh seal
COPY README.md LICENSE ./
COPY src src/
# The time stamp of what the commit brings, in seconds since 1970.
ARG SOURCE_DATE_EPOCH=0
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH}
RUN ./install.sh package

FROM ${PYTHON_IMAGE} AS root
COPY deploy/docker/strip-root.sh /
RUN /strip-root.sh

FROM scratch AS server
COPY --from=root / /
COPY --from=build /opt/purport /opt/purport
COPY deploy/docker/healthy.py /opt/purport/share/healthy.py
ENV PATH=/opt/purport/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 HOME=/tmp PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 PURPORT_HOST=0.0.0.0 PURPORT_PORT=8000
# A purport.toml with settings may be mounted here.
WORKDIR /etc/purport
USER 65532:65532
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-I", "/opt/purport/share/healthy.py"]
ENTRYPOINT ["purport"]
CMD ["serve"]
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG PYTHON_IMAGE
LABEL org.opencontainers.image.title="Purport, inference" \
      org.opencontainers.image.description="Serves intent classifiers over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}" \
      org.purport.sbom="/opt/purport/share/sbom.cdx.json"

FROM server AS baked
ARG MODEL=src/purport/pretrained/atis
COPY ${MODEL} /models/baked
ENV PURPORT_BUNDLE=/models/baked

# The last stage is what a build without --target gives.
FROM server
