"""Counts and times for Prometheus; no label contains text of a request."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The metrics of one service.

    Args:
        paths: the paths that have a label of their own; all others have the label `other`.
    """

    def __init__(self, paths: frozenset[str]) -> None:
        self._paths = paths
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._requests = Counter(
            "biomark_requests", "Requests that were answered", ("path", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "biomark_request_seconds",
            "From a request to its answer",
            ("path",),
            registry=self._registry,
            buckets=_SECONDS,
        )
        self.open = Gauge("biomark_open_requests", "Requests that are being answered", registry=self._registry)
        self.waiting = Gauge("biomark_waiting_documents", "Documents that wait for a batch", registry=self._registry)
        self.documents = Counter("biomark_documents", "Documents that were annotated", registry=self._registry)
        self.characters = Counter("biomark_characters", "Characters of these", registry=self._registry)
        self.mentions = Counter("biomark_mentions", "Mentions that were found", registry=self._registry)
        self.rejects = Counter("biomark_rejects", "What could not be read or annotated", registry=self._registry)
        self._batches = Histogram(
            "biomark_batch_documents", "Documents of a batch", registry=self._registry, buckets=_SIZES
        )
        self._sharing = Histogram(
            "biomark_batch_requests", "Requests that share a batch", registry=self._registry, buckets=_SIZES
        )

    def name_of(self, path: str) -> str:
        """Return the name of a path in logs and metrics; a client may send any text as path."""
        return path if path in self._paths else "other"

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request with its HTTP status and its time in seconds."""
        name = self.name_of(path)
        self._requests.labels(name, str(status)).inc()
        self._seconds.labels(name).observe(seconds)

    def batch(self, documents: int, requests: int) -> None:
        """Count a batch with the numbers of its documents and requests."""
        self._batches.observe(documents)
        self._sharing.observe(requests)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
