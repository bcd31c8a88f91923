# Flightplan in a container. `docker build -t flightplan .` builds the product; `--target proxy` builds nginx.
# `docker run --init -p 127.0.0.1:8000:8000 -v flightplan:/data flightplan` runs web and worker on SQLite.
# compose.yaml runs them apart, on PostgreSQL and behind nginx. See docs/deploy.md.

FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
# First the dependencies alone: this layer is rebuilt only when the lock changes.
COPY requirements.lock ./
RUN python -m venv /venv && /venv/bin/pip install --require-hashes --only-binary=:all: -r requirements.lock
COPY . .
RUN DATA_DIR=/build /venv/bin/python manage.py collectstatic --noinput
RUN /venv/bin/python -m compileall -q campaigns config jobs

FROM nginx:1.28-bookworm AS proxy
COPY docs/deploy/nginx-container.conf /etc/nginx/conf.d/default.conf
COPY --from=build /build/static /usr/share/nginx/static

FROM python:3.13-slim-bookworm AS runtime
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DATA_DIR=/data
# A new named volume takes the owner of the folder that it covers, so /data must belong to the user.
RUN useradd --system --uid 10001 --home-dir /data flightplan && install -d -o flightplan -g flightplan -m 0750 /data
WORKDIR /app
COPY --from=build /venv /venv
COPY --from=build /app /app
USER flightplan
VOLUME /data
EXPOSE 8000
# Any answer below 500 means that the process serves requests; /readyz also asks for the database and a worker.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status >= 500)"]
CMD ["python", "manage.py", "up", "--host", "0.0.0.0", "--port", "8000"]
