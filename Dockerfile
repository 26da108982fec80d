# The API for many machines: the database is beside it, see compose.yaml.
FROM python:3.11-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends gnupg openssl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home mallard

WORKDIR /srv/mallard
COPY . .
RUN pip install --no-cache-dir -e .

USER mallard
ENV MALLARD_BIND=0.0.0.0:8080 \
    MALLARD_ACCESS_CONTROL=on \
    MALLARD_LOG_FORMAT=json
EXPOSE 8080
CMD ["mallard", "api"]
