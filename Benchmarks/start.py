#!/usr/bin/env python3
"""What a service with much in it needs: how long it takes to be ready, and how much memory it holds.

Stores results and evidence cells past the service, starts it again and again, and prints medians as rows of a Markdown
table. Everything runs on loopback, on a private cluster.

usage: start.py RELAYRISK [ROUNDS [RESULTS]]

  RESULTS   how many results are stored, of 10,000 providers; 10,000,000 by default
"""
import os
import statistics
import sys
import tempfile

from private_service import Service

program = os.path.realpath(sys.argv[1])
rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
results = int(sys.argv[3]) if len(sys.argv) > 3 else 10_000_000
HERE = os.path.dirname(os.path.realpath(__file__))
PROVIDERS, CELLS_PER_PROVIDER, SOURCES = 10_000, 200, 5


def fill(service):
    """The results of seed.sql, and cells up to 200 a provider: as many checks as it takes by five sources."""
    seed = open(os.path.join(HERE, "seed.sql")).read()
    service.sql(f"""
        begin;
        select set_config('seed.providers', '{PROVIDERS}', false), set_config('seed.results', '{results}', false),
          set_config('seed.months', '3', false);
        {seed}
        commit;""")
    checks = [check["id"] for check in service.call("/v1/checks?limit=500")["items"]]
    names = ", ".join(f"('{check}')" for check in checks[:CELLS_PER_PROVIDER // SOURCES])
    service.sql(f"""
        delete from evidence_cell;
        insert into evidence_cell (provider_id, methodology, check_id, target, model, source_id, newest, fail_weight,
          pass_weight, fail_half_life_days, pass_half_life_days, revision)
        select provider.id, 'rm-1', checks.id, 'api.' || provider.slug || '.example:443', '', lab.id,
          now() - interval '1 day', random() / 2, random() * 3, 90, 30, 1
        from provider, (values {names}) as checks (id), (select id from source order by id limit {SOURCES}) as lab;
        vacuum analyze evidence_cell""")
    return int(service.sql("select count(*) from evidence_cell"))


def row(work, measured, goal):
    print(f"| {work} | {measured} | | {goal} |", flush=True)


with tempfile.TemporaryDirectory(prefix="relayrisk-start-") as directory:
    service = Service(program, directory)
    try:
        row("resident memory, nothing stored", f"{service.resident_megabytes():.0f} MB", "at most 40 MB")
        cells = fill(service)
        starts, resident = [], []
        for _ in range(rounds):
            service.stop()
            starts.append(service.start())
            service.call("/v1/scores?limit=500")
            resident.append(service.resident_megabytes())
        held = f"{PROVIDERS:,} providers, {results:,} results, {cells:,} evidence cells"
        row(f"from start to ready with {held}", f"{statistics.median(starts):.2f} s", "at most 3 s")
        row(f"resident memory with {held}", f"{statistics.median(resident):.0f} MB", "at most 400 MB")
    finally:
        service.stop()
