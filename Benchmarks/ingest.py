#!/usr/bin/env python3
"""What taking in results costs, against PostgreSQL alone on the same cluster and tables.

Single results: against pgbench, which for one result a transaction does the whole work in one prepared statement: looks
for a repetition, inserts, folds (ingest.sql). Batches and streams: against COPY of as many rows into the table of
results. Single results are spread over 1,000 relays and all checks. Batches, streams and the rows that are copied come
as scanners send them, the checks of one relay after the other, and then once more spread like single ones.
Last, reads: as many as 32 connections get, and as long as one takes at a steady pace, with and without such posts.
Both sides take turns in every round; medians over the rounds and of the ratios round by round are printed as rows of a
Markdown table. Everything runs on loopback, on a private cluster.

usage: ingest.py RELAYRISK [ROUNDS [STORED]]

  STORED    how many results are stored beforehand, past the service; 0 by default
"""
import concurrent.futures
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

from private_service import Service

program = os.path.realpath(sys.argv[1])
rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
stored = int(sys.argv[3]) if len(sys.argv) > 3 else 0
HERE = os.path.dirname(os.path.realpath(__file__))
PROVIDERS = 1_000
MILLION = 1_000_000
SECONDS = 3
BATCH, STREAM_LINES, CONNECTIONS = 1_000, 50_000, 4
median = statistics.median


def stamp():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))


def fill(service):
    service.call("/v1/sources", {"slug": "lab", "name": "Lab"})
    lines = (
        json.dumps({"slug": f"relay-{n}", "name": f"Relay {n}", "hosts": [f"api.relay-{n}.example"]})
        for n in range(PROVIDERS)
    )
    service.open("/v1/providers/import", "\n".join(lines).encode(), "application/x-ndjson").read()
    return [check["id"] for check in service.call("/v1/checks?limit=500")["items"]]


def relay(number, checks, is_spread):
    """Whose result this is."""
    return number * 7919 % PROVIDERS if is_spread else number // len(checks) % PROVIDERS


def result(number, external_id, checks, is_spread):
    """A result as scanners send it."""
    return (
        f'{{"provider":"relay-{relay(number, checks, is_spread)}","source":"lab",'
        f'"check":"{checks[number % len(checks)]}",'
        f'"outcome":"{"fail" if number % 7 == 0 else "pass"}","observed_at":"{stamp()}","external_id":"{external_id}"}}'
    )


def script(directory, service, checks, results_per_request, is_spread):
    """A script of wrk that posts results that were never sent before, like those of `result`."""
    whose = f"number * 7919 % {PROVIDERS}" if is_spread else f"math.floor(number / #checks) % {PROVIDERS}"
    one = "result(number)" if results_per_request == 1 else "many()"
    path = os.path.join(directory, "post.lua")
    with open(path, "w") as file:
        file.write(f"""
local name, number = "{uuid.uuid4()}", 0
local checks = {{{",".join(f'"{check}"' for check in checks)}}}
local head = "POST /v1/probe-results HTTP/1.1\\r\\nHost: localhost\\r\\nAuthorization: Bearer {service.key}\\r\\n"
  .. "Content-Type: application/json\\r\\nContent-Length: "
local function result()
  number = number + 1
  return '{{"provider":"relay-' .. {whose} .. '","source":"lab","check":"'
    .. checks[number % #checks + 1] .. '","outcome":"' .. (number % 7 == 0 and "fail" or "pass")
    .. '","observed_at":"{stamp()}","external_id":"' .. name .. "-" .. number .. '"}}'
end
local function many()
  local results = {{}}
  for index = 1, {results_per_request} do results[index] = result() end
  return '{{"results":[' .. table.concat(results, ",") .. "]}}"
end
request = function()
  local body = {one}
  return head .. #body .. "\\r\\n\\r\\n" .. body
end
""")
    return path


def seconds(text):
    """A duration as wrk prints it."""
    value, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(value) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit]


def post(service, directory, checks, connections, results_per_request, is_spread=True):
    """Results a second, p50 and p99 of a request in seconds, server CPU a result in seconds."""
    path = script(directory, service, checks, results_per_request, is_spread)
    before, count = service.cpu_seconds(), accepted(service)
    output = subprocess.check_output(
        ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", "-s", path, service.url], text=True)
    used = service.cpu_seconds() - before
    assert "Non-2xx" not in output and "Socket errors" not in output, output
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1]) * results_per_request
    p50, p99 = (seconds(re.search(rf" {percent}%\s+(\S+)", output)[1]) for percent in (50, 99))
    return rate, p50, p99, used / (accepted(service) - count)


def accepted(service):
    """Results that were new, as the service counts them."""
    text = service.open("/metrics").read().decode()
    return sum(int(found) for found in re.findall(r'probe_results_total{.*disposition="accepted".*} (\d+)', text))


def pgbench(service, connections):
    """Results a second by PostgreSQL alone, and the mean time of one in seconds."""
    output = subprocess.run(
        service.as_owner("pgbench", "-n", "-M", "prepared", f"-c{connections}", "-j1", f"-T{SECONDS}", "-f-"),
        input=open(os.path.join(HERE, "ingest.sql")).read(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ).stdout
    rate, mean = re.search(r"tps = ([\d.]+)", output), re.search(r"average = ([\d.]+)", output)
    assert rate and mean and "number of failed transactions: 0" in output, output
    return float(rate[1]), float(mean[1]) / 1e3


def copy(service, count, checks, is_spread):
    """Rows a second by COPY of as many results into their table."""
    milliseconds = int(time.time() * 1000)
    relays = [str(uuid.uuid4()) for _ in range(PROVIDERS)]
    rows = "".join(
        "\t".join([
            relays[relay(n, checks, is_spread)], str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | uuid.uuid4().int & (1 << 76) - 1)),
            str(uuid.uuid4()), checks[n % len(checks)], "pass",
            f"https://api.relay-{relay(n, checks, is_spread)}.example/", "",
            stamp(), stamp(), stamp(), "1", str(uuid.uuid4()),
        ]) + "\n"
        for n in range(count)
    )
    columns = ("provider_id, id, source_id, check_id, outcome, target, model, observed_at, counted_at, received_at, "
               "confidence, external_id")
    began = time.monotonic()
    subprocess.run(service.as_owner("psql", "-qX", "-c", f"copy result ({columns}) from stdin"), input=rows, check=True, text=True)
    return count / (time.monotonic() - began)


def stream(service, directory, checks, is_spread):
    """Results a second by streams on four connections at once, and the server's CPU a result in seconds."""
    paths = []
    for connection in range(CONNECTIONS):
        name = uuid.uuid4()
        paths.append(os.path.join(directory, f"stream-{connection}"))
        with open(paths[-1], "w") as file:
            for n in range(STREAM_LINES):
                file.write(result(connection * STREAM_LINES + n, f"{name}-{n:06}", checks, is_spread) + "\n")
    before = service.cpu_seconds()
    began = time.monotonic()

    def send(path):
        return json.loads(subprocess.check_output([
            "curl", "-sS", "-H", f"Authorization: Bearer {service.key}", "-H", "Content-Type: application/x-ndjson",
            "-H", "Expect:", "--data-binary", "@" + path, service.url + "/v1/probe-results"]))

    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as senders:
        answers = list(senders.map(send, paths))
    took = time.monotonic() - began
    assert all(answer["accepted"] == STREAM_LINES for answer in answers), answers
    count = CONNECTIONS * STREAM_LINES
    return count / took, (service.cpu_seconds() - before) / count


@contextlib.contextmanager
def flood(service, directory, checks):
    """Posts batches on several connections, as fast as they are taken, for as long as reads are measured."""
    path = script(directory, service, checks, BATCH, False)
    with subprocess.Popen(["wrk", "-t1", f"-c{CONNECTIONS}", "-d60s", "-s", path, service.url], stdout=subprocess.DEVNULL) as wrk:
        time.sleep(1)
        before = accepted(service)
        try:
            yield
            assert accepted(service) > before, "nothing was posted meanwhile"
        finally:
            wrk.terminate()


def reads(service):
    """Scores a second by 32 connections, and the mean time of one at a steady pace in seconds."""
    url, bearer = service.url + "/v1/providers/relay-1/score", f"Authorization: Bearer {service.key}"
    output = subprocess.check_output(["wrk", "-t1", "-c32", f"-d{SECONDS}s", "-H", bearer, url], text=True)
    assert "Non-2xx" not in output and "Socket errors" not in output, output
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1])
    output = subprocess.check_output(
        ["h2load", "--h1", "-t1", "-c8", "--rps=50", f"-D{SECONDS}", "-H", bearer, url], text=True)
    assert re.search(r" 0 failed, 0 errored, 0 timeout", output), output
    return rate, seconds(re.search(r"time for request:\s+\S+\s+\S+\s+(\S+)", output)[1])


def row(work, measured, against, goal):
    print(f"| {work} | {measured} | {against} | {goal} |", flush=True)


def seed(service, count):
    """Stores results of the last months past the service, with their identities, as if it had taken them."""
    service.sql("select make_result_partitions(now() - interval '3 months', now())")
    # Rows first and keys afterwards: put in one by one and in random order, each row changes another page of a key.
    service.sql("""
        alter table result drop constraint result_pkey;
        alter table result_identity drop constraint result_identity_pkey""")
    for first in range(0, count, MILLION):
        last = min(count, first + MILLION) - 1
        service.sql(f"""
            set synchronous_commit = off;
            with sent as (
              select provider.id as provider_id, sha256(int8send(n)) as identity, n,
                (lpad(to_hex((extract(epoch from now() - interval '80 days' * (1 - n / {count}.0)) * 1000)::bigint), 12, '0')
                  || '7000' || lpad(to_hex(n), 16, '0'))::uuid as id
              from generate_series({first}::bigint, {last}) n join provider on provider.slug = 'relay-' || n % {PROVIDERS}
            ),
            known as (
              insert into result_identity (provider_id, identity, result_id, digest)
              select provider_id, identity, id, identity from sent
            )
            insert into result (provider_id, id, source_id, check_id, outcome, target, model, observed_at, counted_at,
              received_at, confidence, external_id)
            select provider_id, id, (select id from source limit 1), 'encryption.legacy-tls-protocol', 'pass',
              'api.relay-' || n % {PROVIDERS} || '.example', '', now(), now(), now(), 1, n::text
            from sent""")
    service.sql("""
        set maintenance_work_mem = '2GB';
        alter table result add primary key (provider_id, id);
        alter table result_identity add primary key (provider_id, identity);
        vacuum analyze;
        checkpoint""")


def compare(theirs, ours):
    """Rounds of two measurements in turn: the medians of each side's figures, and of the ratios of the first ones."""
    pairs = [(theirs(), ours()) for _ in range(rounds)]
    their, our = ([median(column) for column in zip(*side)] for side in zip(*pairs))
    return their, our, median(our[0] / their[0] for their, our in pairs)


def main(service, directory):
    # As many connections as pgbench opens; the service has its few.
    service.sql("alter system set max_connections = 300")
    service.stop()
    service.start()
    checks = fill(service)
    if stored:
        seed(service, stored)
    print(f"{os.cpu_count()} cores, {rounds} rounds, {stored:,} results stored before, medians\n")
    print("| work | service | against | rate (goal) |\n|---|---|---|---|")
    for connections, goal in ((1, "0.5"), (32, "2.0"), (128, "2.4"), (256, "2.4")):
        their, our, ratio = compare(
            lambda: pgbench(service, connections), lambda: post(service, directory, checks, connections, 1))
        row(f"POST one result, connections: {connections}",
            f"{our[0]:,.0f}/s, p50 {our[1] * 1e3:.1f} ms, p99 {our[2] * 1e3:.1f} ms, {our[3] * 1e6:.1f} us CPU a result",
            f"pgbench {their[0]:,.0f}/s, mean {their[1] * 1e3:.1f} ms", f"{ratio:.2f} times ({goal})")
    count = CONNECTIONS * STREAM_LINES
    for work, is_spread, ours in (
        (f"POST {BATCH:,} results, connections: {CONNECTIONS}", False,
         lambda: post(service, directory, checks, CONNECTIONS, BATCH, False)),
        (f"streams of {STREAM_LINES:,} lines, connections: {CONNECTIONS}", False,
         lambda: stream(service, directory, checks, False)),
        (f"streams of {STREAM_LINES:,} lines, spread, connections: {CONNECTIONS}", True,
         lambda: stream(service, directory, checks, True)),
    ):
        their, our, ratio = compare(lambda: (copy(service, count, checks, is_spread),), ours)
        row(work, f"{our[0]:,.0f} results/s, {our[-1] * 1e6:.1f} us CPU a result", f"COPY {their[0]:,.0f} rows/s",
            f"{ratio:.2f} times (0.6)")

    def reads_meanwhile():
        with flood(service, directory, checks):
            return reads(service)

    their, our, ratio = compare(lambda: reads(service), reads_meanwhile)
    row(f"GET a score while {CONNECTIONS} connections post {BATCH:,} results each",
        f"{our[0]:,.0f}/s; at 400/s mean {our[1] * 1e3:.2f} ms", f"without posts {their[0]:,.0f}/s; mean {their[1] * 1e3:.2f} ms",
        f"{ratio:.2f} times (0.75)")
    row("resident memory at the end", f"{service.resident_megabytes():.0f} MB", "", "")


with tempfile.TemporaryDirectory(prefix="relayrisk-ingest-") as directory:
    service = Service(program, directory)
    try:
        main(service, directory)
    finally:
        service.stop()
