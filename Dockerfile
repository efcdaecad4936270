# The image that every step runs in, and the servers and monitors that the steps start: Python with the pinned packages,
# iperf3, sockperf and ip. About 230 MB as a registry keeps it and a node pulls it.
#   make image IMAGE=registry.example/dataplane-benchmark:0.1.0 BASE=python:3.13.7-slim-trixie@sha256:...
# A tag may be moved to another image, a digest may not: name it by its digest where an image must not change.
ARG BASE=python:3.13.7-slim-trixie

FROM ${BASE} AS packages
COPY requirements.lock /
# What no step imports goes: headers, tests, Arrow's Flight, and a second client of Kubernetes.
# Compiled here, for the root file system is read-only later, and each pod would spend seconds on it.
RUN python -m pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore --no-deps --no-compile \
      --require-hashes --only-binary=:all: --target /packages --requirement /requirements.lock \
    && cd /packages \
    && rm -rf bin kubernetes/aio kubernetes/e2e_test pyarrow/include pyarrow/src \
      pyarrow/libarrow_flight* pyarrow/_flight* \
    && find . -type d -name tests -prune -exec rm -rf {} + \
    && find . -type f \( -name '*.pyx' -o -name '*.pxi' -o -name '*.pyi' -o -name '*.a' \) -delete \
    && python -m compileall -q --invalidation-mode unchecked-hash /packages

FROM ${BASE}
ARG BASE
LABEL org.opencontainers.image.base.name=${BASE} org.opencontainers.image.title=dataplane-benchmark
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends iperf3 sockperf iproute2 \
    && rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old
COPY --from=packages /packages /packages
WORKDIR /benchmark
COPY analysis analysis
COPY steps steps
COPY workflows workflows
COPY requirements.lock /requirements.lock
# Nothing is imported from the home directory, which every step may write to.
ENV PYTHONPATH=/packages PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONNOUSERSITE=1 HOME=/tmp
# An image in which a step can't be imported, or which renders other manifests than the committed ones, is not built.
RUN python -m compileall -q --invalidation-mode unchecked-hash /benchmark \
    && python -m workflows.template.render --check \
    && python -c "import analysis.sql.database, analysis.report, steps.collect.run_rows, steps.cluster.kube.adapter, steps.measurement.trials" \
    && iperf3 --version && sockperf --version && ip -Version \
    && python -m workflows.deployment.sbom /requirements.lock /packages >/sbom.cdx.json
USER 65532:65532
ENTRYPOINT ["python"]
