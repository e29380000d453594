"""What Prometheus is told of how long answers took."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Thread

from farspan.server.asked import Answered
from farspan.server.metrics import Metrics
from tests.server.kit import answer, serving


def test_latencies_begin_when_the_request_arrives(tmp_path: Path) -> None:
    found: list[Answered] = []
    with serving(tmp_path) as (service, _):
        waiting = Thread(target=lambda: found.append(answer(service, "One?")))
        with service.turns.job():
            waiting.start()
            time.sleep(0.5)
        waiting.join(60)
        (answered,) = found
    assert 0.4 < answered.wait_s < 5
    assert answered.context()["prompt_ms"] == round(answered.read_s * 1e3)
    metrics = Metrics()
    metrics.answered(answered)
    first, whole = (
        metrics.registry.get_sample_value(f"farspan:{name}_seconds_sum")
        for name in ("time_to_first_token", "e2e_request_latency")
    )
    assert first is not None and whole is not None
    assert answered.wait_s + answered.read_s <= first < whole <= first + answered.write_s + 1e-9
