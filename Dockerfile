# syntax=docker/dockerfile:1
# rnfm in a container: everything compiled in the first stage, nothing but Python and the environment in the second.
#
#   docker build -t rnfm .
#   docker run --rm -v "$PWD:/work" rnfm demo
#   docker run --rm --gpus all --shm-size 8g -v "$PWD:/work" rnfm pretrain --config pretrain.yaml
#
# BASE must bring Python 3.11 or newer as `python`. The GPU driver comes from the host, CUDA's libraries with torch.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
# A compiler, for packages without a wheel on some platform (pyradiomics, DeepSpeed); it stays in this stage.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/rnfm
ENV PATH=/opt/rnfm/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 DS_BUILD_OPS=0
WORKDIR /source
# For an image without CUDA's libraries: --build-arg EXTRA_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRA_INDEX=
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY rnfm rnfm
RUN python -m pip install ${EXTRA_INDEX:+--extra-index-url "$EXTRA_INDEX"} --constraint constraints.txt .

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="rnfm" \
      org.opencontainers.image.description="Pre-training of 3D vision transformers on MRI, and tested classifiers of radiation necrosis" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/rnfm/rnfm" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/rnfm /opt/rnfm
ENV PATH=/opt/rnfm/bin:$PATH PYTHONUNBUFFERED=1 MLFLOW_DISABLE_TELEMETRY=true RAY_USAGE_STATS_ENABLED=0
# Not root: files that it writes under /work belong to uid 1000. For other owners: docker run --user "$(id -u):$(id -g)".
RUN useradd --create-home --uid 1000 rnfm && mkdir /work && chown rnfm: /work
USER rnfm
WORKDIR /work
# Ends with 2 if anything that rnfm needs is missing from the image.
HEALTHCHECK --interval=10m --timeout=90s --start-period=30s --retries=2 CMD ["rnfm", "doctor"]
ENTRYPOINT ["rnfm"]
CMD ["--help"]
