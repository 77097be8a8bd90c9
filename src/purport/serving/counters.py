"""The metrics of ``GET /metrics`` (Prometheus text format)."""

from __future__ import annotations

from functools import cache

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ..model import Usage

CONTENT_TYPE = CONTENT_TYPE_LATEST
REGISTRY = CollectorRegistry()

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REQUESTS = Counter("purport_requests", "Requests by path and status", ["path", "status"], registry=REGISTRY)
SECONDS = Histogram(
    "purport_request_seconds", "Time from request to response", ["path"], buckets=_SECONDS, registry=REGISTRY
)
WAIT = Histogram("purport_wait_seconds", "Time that a text waited for a worker", buckets=_SECONDS, registry=REGISTRY)
WORK = Histogram(
    "purport_work_seconds", "Time that a worker spent on a text's batch", buckets=_SECONDS, registry=REGISTRY
)
BATCH = Histogram("purport_batch_texts", "Texts per batch", buckets=(1, 2, 4, 8, 16, 32, 64, 128), registry=REGISTRY)
CACHE_HITS = Counter("purport_cache_hits", "Texts answered from the cache", registry=REGISTRY)
CACHE_MISSES = Counter("purport_cache_misses", "Texts not found in the cache", registry=REGISTRY)
_OF_BUNDLE = ["bundle"]
SERVICE_REQUESTS = Counter(
    "purport_service_requests", "Requests to services of language models", _OF_BUNDLE, registry=REGISTRY
)
SERVICE_TOKENS = Counter(
    "purport_service_tokens", "Tokens in (requests) and out (replies)", [*_OF_BUNDLE, "direction"], registry=REGISTRY
)
SERVICE_COST = Counter("purport_service_cost_dollars", "What that cost, by the bundle's prices", _OF_BUNDLE,
                       registry=REGISTRY)  # fmt: skip
SERVICE_UNANSWERED = Counter(
    "purport_service_unanswered_texts", "Texts without a usable reply", _OF_BUNDLE, registry=REGISTRY
)
QUEUE = Gauge("purport_queue_texts", "Texts waiting for a worker", registry=REGISTRY)
WORKERS = Gauge("purport_workers", "Worker processes that have loaded the default model", registry=REGISTRY)
RESTARTS = Gauge("purport_worker_restarts", "Restarts of workers after they died", registry=REGISTRY)
DROPPED = Gauge("purport_log_lines_dropped", "Log lines that were dropped because nobody took them", registry=REGISTRY)


@cache
def counted(path: str, status: int) -> Counter:
    """The counter of requests to ``path`` with ``status``."""
    return REQUESTS.labels(path, str(status))


@cache
def timed(path: str) -> Histogram:
    """The histogram of request times for ``path``."""
    return SECONDS.labels(path)


def asked(bundle: str, spent: Usage) -> None:
    """Count what the model of ``bundle`` has asked of services."""
    SERVICE_REQUESTS.labels(bundle).inc(spent.requests)
    SERVICE_TOKENS.labels(bundle, "in").inc(spent.input_tokens)
    SERVICE_TOKENS.labels(bundle, "out").inc(spent.output_tokens)
    SERVICE_COST.labels(bundle).inc(spent.usd)
    SERVICE_UNANSWERED.labels(bundle).inc(spent.unanswered)


def exposition() -> bytes:
    """All metrics as text."""
    return generate_latest(REGISTRY)
