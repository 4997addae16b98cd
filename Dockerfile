# One image for web, worker, beat and the one-shot migration; docker-compose.yml names the command of each.
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.txt /
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r /requirements.txt

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /app portal && mkdir /data && chown portal /data
COPY --from=build /venv /venv
COPY . /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PORTAL_DATA_DIR=/data PORTAL_LOCAL_RUN=0
# collectstatic needs settings, but no server and no real secret
RUN SECRET_KEY=$(head -c 40 /dev/urandom | base64) SITE_URL=https://portal.invalid \
    DATABASE_URL=postgres://none REDIS_URL=redis://none \
    python manage.py collectstatic --noinput --verbosity 0
# A number, so that Kubernetes sees that it is not root
USER 10001
EXPOSE 8000
CMD ["gunicorn", "config.wsgi", "--config", "python:config.gunicorn", "--bind", "0.0.0.0:8000", "--workers", "2", "--no-control-socket", "--worker-tmp-dir", "/dev/shm", "--access-logfile", "-"]
