# One image for the work cluster, the serving cluster and every job.
FROM docker.io/library/python:3.11-slim AS build
RUN pip install --no-cache-dir "uv>=0.9,<1"
WORKDIR /build
COPY requirements.lock ./
RUN python -m venv /opt/alpharay \
 && uv pip sync --no-cache --python /opt/alpharay/bin/python --require-hashes --compile-bytecode requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY alpharay alpharay
COPY ray_jobs ray_jobs
COPY serve_apps serve_apps
COPY cluster cluster
COPY benchmarks benchmarks
RUN uv pip install --no-cache --python /opt/alpharay/bin/python --no-deps --no-build-isolation .
# Kernels are compiled here, not by a first request. Numba keys them by the processor: on another kind they are made again.
RUN NUMBA_CACHE_DIR=/opt/alpharay/kernels /opt/alpharay/bin/alpharay compile

FROM docker.io/library/python:3.11-slim
# wget: KubeRay's probes. libgomp1: XGBoost and scikit-learn. tini: Ray's children are collected.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libgomp1 tini wget \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --create-home ray
COPY --from=build /opt/alpharay /opt/alpharay
ENV PATH=/opt/alpharay/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RAY_USAGE_STATS_ENABLED=0 \
    NUMBA_CACHE_DIR=/tmp/numba
USER ray
WORKDIR /home/ray
ENTRYPOINT ["tini", "--"]
CMD ["alpharay", "--help"]
