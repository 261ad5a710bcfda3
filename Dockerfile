# One Dockerfile for all processes: `service` for ECS, Kubernetes and compose, `lambda` for Lambda.
#   docker build --target service -t triptych .
# For amd64 and arm64, and reproducibly: scripts/image.sh. It has no embedded Postgres.
# With CUDA, for amd64 alone: --build-arg PACKAGES=gpu. Not tried on a GPU: docs/guides/image.md.
# Base images are named by digest, so that two builds of a commit are of the same parts; the tag says
# what the digest was. To renew one: docker buildx imagetools inspect python:3.13-slim-trixie

# The page in the browser. It is the same for all processors.
FROM --platform=$BUILDPLATFORM node:22-slim@sha256:83f487e0a63425e5b4d146fb5e5be574bcbe1b7b843d3ebafdd95eaf7767a7e5 AS dashboard
WORKDIR /src/dashboard
COPY dashboard/package.json dashboard/package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
COPY docs/reference/openapi.json docs/reference/failures.md /src/docs/reference/
COPY dashboard ./
RUN npm run --silent build

# What has no wheel for ARM (opentsne) is compiled, on every platform in the same way. A layer of its
# own: it changes with its lock alone, so that a cache of the builder keeps it from release to release.
FROM python:3.13-slim-trixie@sha256:ffb752e139c0a19692a43af8d8523b274222dd68eebad5d583b45c2201c6e30a AS compiled
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /src
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends build-essential \
 && rm -rf /var/lib/apt/lists/*
COPY requirements/compile.txt requirements/opentsne.txt requirements/
# CONDA_BUILD: its setup.py would else compile for the builder's own processor. auditwheel takes in
# libgomp, which the slim image does not have.
RUN python -m venv /opt/compile \
 && /opt/compile/bin/python -m pip install --only-binary :all: --require-hashes -r requirements/compile.txt \
 && CONDA_BUILD=1 PATH="/opt/compile/bin:$PATH" /opt/compile/bin/python -m pip wheel --no-deps --no-build-isolation \
    --no-binary opentsne --require-hashes --wheel-dir /dist/linked -r requirements/opentsne.txt \
 && PATH="/opt/compile/bin:$PATH" auditwheel repair --wheel-dir /dist/wheels /dist/linked/opentsne-*.whl

# Triptych's own wheel is the same for all processors, too.
FROM --platform=$BUILDPLATFORM python:3.13-slim-trixie@sha256:ffb752e139c0a19692a43af8d8523b274222dd68eebad5d583b45c2201c6e30a AS wheel
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements/uv.txt requirements/
RUN python -m venv /opt/uv \
 && /opt/uv/bin/python -m pip install --require-hashes -r requirements/uv.txt
COPY requirements/wheel.txt requirements/
COPY pyproject.toml README.md LICENSE hatch_build.py ./
COPY src src
COPY --from=dashboard /src/src/triptych/dashboard src/triptych/dashboard
RUN /opt/uv/bin/uv build --wheel --require-hashes --build-constraints requirements/wheel.txt --out-dir /dist

# Everything is installed here, and only the result is taken along. Nothing is compiled: a package
# without a wheel for the platform fails the build.
FROM python:3.13-slim-trixie@sha256:ffb752e139c0a19692a43af8d8523b274222dd68eebad5d583b45c2201c6e30a AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
RUN python -m venv /opt/triptych
# The lock of what is installed: `image`, or `gpu`. It has all that is needed; pip would also want
# `onnxruntime`, which `onnxruntime-gpu` replaces.
ARG PACKAGES=image
COPY requirements/image.txt requirements/gpu.txt requirements/
RUN /opt/triptych/bin/python -m pip install --no-deps --only-binary :all: --require-hashes -r "requirements/$PACKAGES.txt"
COPY --from=compiled /dist/wheels /dist/wheels
COPY --from=wheel /dist /dist/wheels
# The bytecode holds no times, so that two builds have the same.
RUN /opt/triptych/bin/python -m pip install --no-deps /dist/wheels/*.whl \
 && /opt/triptych/bin/python -m pip uninstall --yes pip \
 && /opt/triptych/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/triptych/lib
# What the bundled models keep is made now: containers can read it, and write nothing.
RUN /opt/triptych/bin/python -c "from triptych.settings.settings import Settings; \
from triptych.wiring.models import open_embedder, open_text_encoder; \
settings = Settings.load(data='/data'); \
open_text_encoder(settings, open_embedder(settings, 1))" \
 && chmod -R a+rX /data

# AWS's runtime client for Lambda, beside the environment and not in it: the service does without.
FROM python:3.13-slim-trixie@sha256:ffb752e139c0a19692a43af8d8523b274222dd68eebad5d583b45c2201c6e30a AS client
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1
WORKDIR /src
COPY requirements/lambda.txt requirements/
RUN python -m venv /opt/client \
 && /opt/client/bin/python -m pip install --only-binary :all: --require-hashes --target /opt/lambda -r requirements/lambda.txt \
 && /opt/client/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/lambda

FROM python:3.13-slim-trixie@sha256:ffb752e139c0a19692a43af8d8523b274222dd68eebad5d583b45c2201c6e30a AS base
# AWS adds authorities to it from time to time; then the build fails here and the new sum is put in.
# RDS' certificates: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
ADD --chmod=0644 --checksum=sha256:e5bb2084ccf45087bda1c9bffdea0eb15ee67f0b91646106e466714f9de3c7e3 \
    https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem /etc/ssl/rds.pem
RUN groupadd --gid 10001 triptych \
 && useradd --uid 10001 --gid triptych --no-create-home --home-dir /nonexistent \
    --shell /usr/sbin/nologin triptych
ENV PATH=/opt/triptych/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    TRIPTYCH_DATA=/data
COPY --from=build /data /data
USER 10001:10001
WORKDIR /tmp

FROM base AS service
COPY --from=build /opt/triptych /opt/triptych
EXPOSE 8321 8701
# Only what serves HTTP has health to tell: compose.yaml and ECS say for which containers it counts.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('HEALTH_PORT', '8321')}/healthz\", timeout=3)"]
ENTRYPOINT ["triptych"]
CMD ["api", "--json"]

# The same layers and one more: Lambda takes images of one platform only, and has its own entry.
FROM service AS lambda
COPY --from=client /opt/lambda /opt/lambda
ENV PYTHONPATH=/opt/lambda
# Lambda names the handler: triptych.aws_lambda.handlers.acquire and so on.
ENTRYPOINT ["/opt/triptych/bin/python", "-m", "awslambdaric"]
CMD ["triptych.aws_lambda.handlers.sweep"]
