"""What the server tells Prometheus. A registry of its own, so that two servers in one process do not mix; never a row's content."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest

from penjing.core.types import Prediction

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    def __init__(self, model: dict[str, str], waiting: Callable[[], float]) -> None:
        """`model` labels the served model; `waiting` returns the rows in the queue."""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        Info("penjing_model", "The model that answers.", registry=self._registry).info(model)
        self._requests = Counter("penjing_requests", "Requests for predictions, by HTTP status.", ["status"], registry=self._registry)
        self._errors = Counter(
            "penjing_errors", "Requests for predictions that were not answered, by HTTP status.", ["status"], registry=self._registry
        )
        self._lines = Counter("penjing_lines", "Lines of streams, by the status of their answer.", ["status"], registry=self._registry)
        self._rows = Counter("penjing_rows", "Rows answered, by the tier that answered.", ["tier"], registry=self._registry)
        self._seconds = Histogram(
            "penjing_request_seconds", "Seconds from a request's arrival to its answer.", buckets=_SECONDS, registry=self._registry
        )
        self._batch_rows = Histogram("penjing_batch_rows", "Rows computed together.", buckets=_ROWS, registry=self._registry)
        self._batch_seconds = Histogram("penjing_batch_seconds", "Seconds to compute a batch.", buckets=_SECONDS, registry=self._registry)
        Gauge("penjing_queue_rows", "Rows that wait for the model.", registry=self._registry).set_function(waiting)

    def answered(self, status: int, seconds: float, predictions: Sequence[Prediction] = ()) -> None:
        """Count one request for predictions."""
        self._requests.labels(str(status)).inc()
        self._seconds.observe(seconds)
        if status >= 400:
            self._errors.labels(str(status)).inc()
        self._answered(predictions)

    def line(self, status: int, predictions: Sequence[Prediction]) -> None:
        """Count one line of a stream."""
        self._lines.labels(str(status)).inc()
        self._answered(predictions)

    def batch(self, rows: int, _requests: int, seconds: float) -> None:
        """Count one batch; a batcher's observer."""
        self._batch_rows.observe(rows)
        self._batch_seconds.observe(seconds)

    def _answered(self, predictions: Sequence[Prediction]) -> None:
        for prediction in predictions:
            self._rows.labels(str(prediction.get("tier", ""))).inc()

    def text(self) -> bytes:
        return generate_latest(self._registry)
