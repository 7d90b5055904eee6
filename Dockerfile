# The service in a container: docker build -t biomark . && docker run -p 8765:8765 -v $PWD/token:/run/secrets/biomark-token:ro biomark
FROM python:3.12-slim AS build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY src src
RUN python -m venv /opt/biomark
RUN /opt/biomark/bin/pip install --no-cache-dir --constraint constraints.txt '.[serve]'

FROM python:3.12-slim
COPY --from=build /opt/biomark /opt/biomark
RUN useradd --create-home --uid 10001 biomark
USER biomark
WORKDIR /home/biomark
ENV PATH=/opt/biomark/bin:$PATH
EXPOSE 8765
HEALTHCHECK --start-period=20s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/healthz')"]
ENTRYPOINT ["biomark"]
CMD ["serve", "--host", "0.0.0.0", "--token-file", "/run/secrets/biomark-token"]
