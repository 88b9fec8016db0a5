#!/usr/bin/env python3
"""What reading a score costs, against a bare libmicrohttpd that answers the same bytes (floor.c).

Absolute times mean nothing on shared machines: the service and the floor take turns in every round, and what is
printed are medians over the rounds and the ratio of the two. Everything runs on loopback.

usage: reads.py RELAYRISK FLOOR [ROUNDS]
"""
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

from private_service import Service, cpu_seconds

program, floor_program = map(os.path.realpath, sys.argv[1:3])
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
SECONDS = 3
FLOOR_PORT = 18099


def fill(service):
    sources = ["ash", "birch", "cedar", "dogwood", "elm"]
    for source in sources:
        service.call("/v1/sources", {"slug": source, "name": source})
    service.call("/v1/providers", {"slug": "acme", "name": "Acme", "hosts": ["acme.example"]})
    checks = service.call("/v1/checks?limit=500")["items"]
    seen = time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(time.time() - 86400))
    for source in sources:
        results = [
            {
                "provider": "acme", "source": source, "check": check["id"], "observed_at": seen,
                "outcome": "fail" if number % 7 == 0 else "pass",
            }
            for number, check in enumerate(checks)
        ]
        answer = service.call("/v1/probe-results", {"results": results})
        assert answer["rejected"] == 0, answer


def register(service, count):
    lines = "\n".join(
        json.dumps({"slug": f"relay-{n}", "name": f"Relay {n}", "hosts": [f"relay-{n}.example"]})
        for n in range(count)
    )
    service.open("/v1/providers/import", lines.encode(), "application/x-ndjson")


def load(pid, url, connections, headers=(), script=None):
    """Requests a second, and the server's CPU a request in microseconds."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s"]
    for header in headers:
        command += ["-H", header]
    before = cpu_seconds(pid)
    output = subprocess.check_output(command + (["-s", script] if script else []) + [url], text=True)
    used = cpu_seconds(pid) - before
    assert "Non-2xx" not in output, output
    assert "Socket errors" not in output, output
    requests = int(re.search(r"(\d+) requests in", output)[1])
    return float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1]), used / requests * 1e6


def conditional_load(pid, url, connections, headers):
    """The same by h2load, since wrk waits for the body that a 304 names the length of but does not have."""
    command = ["h2load", "--h1", "-t1", f"-c{connections}", f"-D{SECONDS}"]
    for header in headers:
        command += ["-H", header]
    before = cpu_seconds(pid)
    output = subprocess.check_output(command + [url], text=True, stderr=subprocess.STDOUT)
    used = cpu_seconds(pid) - before
    requests = int(re.search(r"(\d+) succeeded", output)[1])
    assert re.search(r" 0 failed, 0 errored, 0 timeout", output), output
    return requests / SECONDS, used / requests * 1e6


def median(values):
    return statistics.median(values)


def row(work, measured, against, goal):
    print(f"| {work} | {measured} | {against} | {goal} |", flush=True)


with tempfile.TemporaryDirectory(prefix="relayrisk-bench-") as directory:
    service = Service(program, directory)
    floor = None
    try:
        fill(service)
        score = "/v1/providers/acme/score"
        answer = service.open(score)
        body = os.path.join(directory, "body")
        open(body, "wb").write(answer.read())
        same = [
            word
            for name, value in answer.headers.items()
            if name not in ("Date", "Content-Length", "Connection")
            for word in (name, value)
        ]
        floor = subprocess.Popen([floor_program, str(FLOOR_PORT), "2", body, *same])
        time.sleep(0.3)
        floor_url = f"http://127.0.0.1:{FLOOR_PORT}{score}"
        bearer = f"Authorization: Bearer {service.key}"
        print(f"{os.cpu_count()} cores, {rounds} rounds of {SECONDS} s, {os.path.getsize(body)} bytes a score, medians\n")
        print("| work | service | against | goal |\n|---|---|---|---|")

        def compare(work, name, theirs, ours, goal):
            """Rounds of two loads in turn; a row of their medians and of the medians of the ratios round by round."""
            pairs = [(theirs(), ours()) for _ in range(rounds)]
            (their_rate, their_cpu), (our_rate, our_cpu) = [[median(v) for v in zip(*side)] for side in zip(*pairs)]
            cpu = median(b[1] / a[1] for a, b in pairs)
            rate = median(b[0] / a[0] for a, b in pairs)
            row(
                work, f"{our_rate:,.0f}/s, {our_cpu:.1f} us CPU", f"{name} {their_rate:,.0f}/s, {their_cpu:.1f} us CPU",
                f"CPU {cpu:.2f} times, rate {rate:.2f} times ({goal})",
            )
            return our_rate, our_cpu

        full = compare(
            "GET a score, 32 connections", "bare libmicrohttpd",
            lambda: load(floor.pid, floor_url, 32, [bearer]),
            lambda: load(service.process.pid, service.url + score, 32, [bearer]), "CPU 1.3, rate 0.85",
        )

        def with_tag(tag):
            headers = [bearer, f"If-None-Match: {tag}"]
            return lambda: conditional_load(service.process.pid, service.url + score, 32, headers)

        # The tag changes with the minute; one that matches nothing asks for the whole answer.
        def matching():
            return with_tag(service.open(score).headers["ETag"])()

        compare("GET with a matching ETag", "full answer", with_tag('"other"'), matching, "rate 1")

        rates = {}
        for _ in range(rounds):
            for connections in (127, 128, 129, 256):
                rate, _cpu = load(service.process.pid, service.url + score, connections, [bearer])
                rates.setdefault(connections, []).append(rate)
        rates = {connections: median(found) for connections, found in rates.items()}
        row(
            "GET a score, 127, 128, 129, 256 connections", ", ".join(f"{rate:,.0f}/s" for rate in rates.values()),
            "each other", f"least to most {min(rates.values()) / max(rates.values()):.2f} (0.75)",
        )

        register(service, 9_990)
        many = os.path.join(directory, "many.lua")
        hosts = json.dumps({"hosts": [f"relay-{n}.example" for n in range(1000)]})
        open(many, "w").write(
            f"wrk.method='POST' wrk.headers['Content-Type']='application/json' wrk.body='{hosts}'\n"
        )
        times = []
        for _ in range(rounds):
            one, _cpu = load(service.process.pid, service.url + score, 1, [bearer])
            thousand, _cpu = load(service.process.pid, service.url + "/v1/lookup", 1, [bearer], many)
            times.append((1e6 / one, 1e6 / thousand, one / thousand))
        row(
            "lookup of 1,000 hosts, 10,000 providers", f"{median(t[1] for t in times):,.0f} us",
            f"one score {median(t[0] for t in times):,.0f} us", f"{median(t[2] for t in times):.0f} times (60)",
        )
        after = []
        for _ in range(rounds):
            after.append(load(service.process.pid, service.url + score, 32, [bearer]))
        row(
            "GET a score, 10,000 providers", f"{median(a[1] for a in after):.1f} us CPU",
            f"1 provider {full[1]:.1f} us CPU", f"{median(a[1] for a in after) / full[1]:.2f} times (1)",
        )
        row("resident memory, 10,000 providers", f"{service.resident_megabytes():.0f} MB", "", "")
    finally:
        if floor:
            floor.kill()
        service.stop()
