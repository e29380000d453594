"""What Prometheus is told, by the names that vLLM has behind `farspan:`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from farspan.server.asked import Answered
from farspan.server.service import Service
from farspan.server.workers import Workers

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._running = Gauge("farspan:num_requests_running", "Requests that are worked on", registry=registry)
        self._waiting = Gauge("farspan:num_requests_waiting", "Requests that wait", registry=registry)
        self._kv = Gauge("farspan:kv_bytes", "Bytes of KV of sessions in memory", registry=registry)
        self._usage = Gauge("farspan:kv_cache_usage_perc", "Share of --memory that is taken", registry=registry)
        self._queries = Gauge("farspan:prefix_cache_queries", "Conversations that were looked up", registry=registry)
        self._hits = Gauge("farspan:prefix_cache_hits", "Those of which something was read", registry=registry)
        self._prompt = Counter("farspan:prompt_tokens", "Tokens of prompts", registry=registry)
        self._cached = Counter("farspan:cached_tokens", "Those that did not have to be read", registry=registry)
        self._read = Counter("farspan:read_tokens", "Tokens that were read", registry=registry)
        self._written = Counter("farspan:generation_tokens", "Tokens that were written", registry=registry)
        self._fetched = Counter("farspan:tokens_fetched", "Tokens fetched back for attention", registry=registry)
        self._dropped = Counter("farspan:tokens_evicted", "Tokens dropped in answered contexts", registry=registry)
        self._requests = Counter("farspan:requests", "Answered requests by status", ["status"], registry=registry)
        self._first = Histogram(
            "farspan:time_to_first_token_seconds",
            "From the request until the answer begins",
            buckets=_SECONDS,
            registry=registry,
        )
        self._whole = Histogram(
            "farspan:e2e_request_latency_seconds",
            "From the request until the answer ends",
            buckets=_SECONDS,
            registry=registry,
        )

    def answered(self, answer: Answered) -> None:
        """Count an answer."""
        self._prompt.inc(answer.prompt_tokens)
        self._cached.inc(answer.cached_tokens)
        self._read.inc(answer.prompt_tokens - answer.cached_tokens)
        self._written.inc(answer.completion_tokens)
        self._fetched.inc(answer.counts.fetched)
        self._dropped.inc(answer.counts.dropped)
        self._first.observe(answer.wait_s + answer.read_s)
        self._whole.observe(answer.wait_s + answer.read_s + answer.write_s)

    def ended(self, status: int) -> None:
        """Count a request by the status that it got."""
        self._requests.labels(status=str(status)).inc()

    def text(self, workers: Workers, service: Service | None) -> bytes:
        """All of them as Prometheus reads them."""
        self._running.set(workers.running)
        self._waiting.set(workers.waiting)
        if service is not None:
            self._kv.set(service.room.kept_bytes)
            self._usage.set((service.room.taken + service.room.kept_bytes) / service.room.limit)
            self._queries.set(service.reuse.queries)
            self._hits.set(service.reuse.hits)
        return generate_latest(self.registry)
