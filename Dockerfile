# `costspan serve`, with everything pinned. The ledger is a Postgres of yours: no embedded one is in here.
#
#   docker build -t costspan .
#   docker run --rm -e COSTSPAN_DATABASE_URL=postgresql://… costspan report
FROM python:3.13.9-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/costspan
WORKDIR /build
COPY deploy/requirements.txt deploy/requirements-build.txt deploy/
RUN /opt/costspan/bin/pip install --only-binary=:all: --require-hashes -r deploy/requirements.txt \
    && python -m venv /opt/build \
    && /opt/build/bin/pip install --only-binary=:all: --require-hashes -r deploy/requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
# Built by what is pinned, and nothing fetched for it.
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/costspan/bin/pip install --no-deps dist/costspan-*.whl \
    && /opt/costspan/bin/pip uninstall --yes pip

FROM python:3.13.9-slim-bookworm
# 10001 as the collector's image has it, too: what is set up here for it, it can read.
RUN groupadd --gid 10001 costspan \
    && useradd --uid 10001 --gid 10001 --home-dir /var/lib/costspan --shell /usr/sbin/nologin costspan \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/costspan \
    && install -d -o 10001 -g 10001 -m 0755 /run/tokens /run/tokens/prometheus /run/tokens/collector
COPY --from=build /opt/costspan /opt/costspan
COPY --chmod=0555 deploy/entrypoint.sh deploy/setup.sh /usr/local/bin/
ENV PATH=/opt/costspan/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    COSTSPAN_STATE_DIR=/var/lib/costspan
USER 10001:10001
# The journal: what this container metered or took over and has not written yet.
VOLUME /var/lib/costspan
EXPOSE 9465
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9465/healthz', timeout=4)"]
ENTRYPOINT ["entrypoint.sh"]
CMD ["serve", "--host", "0.0.0.0"]
