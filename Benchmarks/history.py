#!/usr/bin/env python3
"""What a history costs: 500 scores of the past, computed anew from 100,000 stored results of one provider.

Set against one score of the past, which reads the same results: the two take turns in every round, and medians and the
median of the ratios are printed as rows of a Markdown table. Everything runs on loopback, on a private cluster.

usage: history.py RELAYRISK [ROUNDS]
"""
import os
import statistics
import sys
import tempfile
import time

from private_service import Service

program = os.path.realpath(sys.argv[1])
rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
RESULTS, BATCH, POINTS, DAYS = 100_000, 1_000, 500, 30


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def timed(service, path):
    start = time.perf_counter()
    answer = service.call(path)
    return time.perf_counter() - start, answer


def fill(service, start, end):
    sources = [f"source-{number}" for number in range(5)]
    for source in sources:
        service.call("/v1/sources", {"slug": source, "name": source})
    service.call("/v1/providers", {"slug": "acme", "name": "Acme", "hosts": ["acme.example"]})
    checks = [check["id"] for check in service.call("/v1/checks?limit=500")["items"]]
    for first in range(0, RESULTS, BATCH):
        results = [
            {
                "provider": "acme", "source": sources[number % 5], "check": checks[number // 5 % len(checks)],
                "target": f"host-{number // 300 % 3}.acme.example", "external_id": str(number),
                "observed_at": stamp(start + (end - start) * number / RESULTS),
                "outcome": "fail" if number % 7 == 0 else "pass",
            }
            for number in range(first, first + BATCH)
        ]
        answer = service.call("/v1/probe-results", {"results": results})
        assert answer["accepted"] == BATCH, answer


with tempfile.TemporaryDirectory(prefix="relayrisk-history-") as directory:
    service = Service(program, directory)
    try:
        end = int(time.time()) - 60
        start = end - DAYS * 86_400
        fill(service, start, end)
        score = "/v1/providers/acme/score"
        history = f"{score}/history?points={POINTS}&from={stamp(start)}&to={stamp(end)}"
        once = f"{score}?as_of={stamp(end)}"
        timed(service, history)
        times = []
        for _ in range(rounds):
            many, answer = timed(service, history)
            assert len(answer["items"]) == POINTS
            one, _answer = timed(service, once)
            times.append((many, one, many / one))
        many, one, ratio = (statistics.median(column) for column in zip(*times))
        print(f"| history of {POINTS} points over {RESULTS:,} results, from request to answer | {many * 1e3:,.0f} ms "
              f"| one score of the past {one * 1e3:,.0f} ms: {ratio:.1f} times | at most 2 s |")
    finally:
        service.stop()
