"""Goes the way of a first user with a client that was generated from the API's description alone.

The program is started on a private cluster of its own. What the client cannot say or read is a fault of the
description.
"""

import argparse
import datetime
import importlib
import json
import pathlib
import subprocess
import sys
import tempfile
import time

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def generated(description, configuration, folder):
    """The generated client as a package; a warning is a part of the description that was passed over."""
    generator = [sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning", "--meta", "none"]
    subprocess.run(generator + ["--path", description, "--config", configuration, "--output-path", folder / "relay"],
                   check=True, stdout=subprocess.DEVNULL)
    sys.path.insert(0, str(folder))
    return importlib.import_module("relay")


def started(program, data, log):
    """The service, ready, and its address: it listens before it has loaded."""
    service = subprocess.Popen([program, "serve", "--listen", "127.0.0.1:0", "--data-dir", data], stderr=log.open("w"))
    for _ in range(600):
        lines = log.read_text().splitlines()
        addresses = [line.rsplit(" ", 1)[1] for line in lines if line.startswith("relayrisk listens on ")]
        if addresses and any(line.endswith(" info ready") for line in lines):
            return service, addresses[0]
        if service.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit(f"the service did not start:\n{log.read_text()}")


class Journey:
    """Calls operations by tag and name."""

    def __init__(self, package, client):
        self.models = importlib.import_module(package.__name__ + ".models")
        self.package, self.client = package, client

    def call(self, operation, *path, status=200, **arguments):
        module = importlib.import_module(f"{self.package.__name__}.api.{operation}")
        answer = module.sync_detailed(*path, client=self.client, **arguments)
        assert answer.status_code == status, f"{operation}: {answer.status_code}: {answer.content[:500]}"
        assert answer.parsed is not None or status == 204, f"{operation}: the answer could not be read"
        return answer.parsed

    def take(self, report):
        models = self.models
        self.call(
            "registry.register_source", status=201,
            body=models.SourceRegistration(slug="lab", name="Lab", trust=0.9))
        provider = self.call(
            "registry.register_provider", status=201,
            body=models.ProviderRegistration(slug="acme", name="Acme", hosts=["acme.example"], tags=["pilot"]))
        assert provider.status == models.ProviderStatus.PENDING and provider.hosts == ["acme.example"]
        taken = self.call(
            "registry.register_provider", status=409,
            body=models.ProviderRegistration(slug="acme", name="Acme", hosts=["acme.example"]))
        assert "acme" in taken.detail
        changed = self.call(
            "registry.change_provider", "acme", body=models.ProviderChange(status=models.ProviderStatus.ACTIVE))
        assert changed.version == 2

        result = models.ProbeResultInput(
            provider="acme", source="lab", check="controls.setup-wizard-open", outcome=models.Outcome.FAIL,
            observed_at=NOW, external_id="1")
        stored = self.call("probe_results.post_probe_results", status=201, body=result)
        again = self.call("probe_results.post_probe_results", status=200, body=result)
        assert stored.id == again.id and stored.observed_at == NOW
        batch = self.call(
            "probe_results.post_probe_results",
            body=models.ProbeResultBatch(results=[
                models.ProbeResultInput(provider="acme", source="lab", check=check, outcome=models.Outcome.PASS,
                                        observed_at=NOW)
                for check in ("controls.admin-panel-exposed", "encryption.hsts-missing", "no-such")]))
        assert (batch.accepted, batch.rejected) == (2, 1)
        assert batch.results[2].problem.errors[0].pointer == "/check"

        findings = [models.TestSSLFinding.from_dict(finding) for finding in report]
        imported = self.call(
            "probe_results.import_probe_results", body=findings, format_=models.ImportProbeResultsFormat.TESTSSL,
            provider="acme", source="lab", observed_at=NOW)
        assert imported.accepted > 5 and imported.rejected == 0, imported

        score = self.call("scores.get_score", "acme", detail=models.GetScoreDetail.FULL)
        assert score.provider.slug == "acme" and len(score.checks) > 50 and len(score.reasons) == 5
        found = self.call("scores.look_up_hosts", body=models.LookupRequest(hosts=["acme.example", "none.example"]))
        assert [item.provider for item in found.items] == ["acme", None]
        assert found.items[0].verdict == score.verdict
        assert self.call("scores.look_up_host", host="acme.example").provider == "acme"
        assert [item.provider.slug for item in self.call("scores.list_scores").items] == ["acme"]
        listed = self.call("registry.list_providers", verdict=score.verdict, tag="pilot")
        assert [item.slug for item in listed.items] == ["acme"] and listed.next_cursor is None

        seen, cursor = [], None
        while True:
            following = {"cursor": cursor} if cursor else {}
            page = self.call("probe_results.list_probe_results", "acme", limit=5, **following)
            seen += [item.id for item in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == imported.accepted + 3
        assert self.call("probe_results.get_probe_result", stored.id).note is None
        self.call("probe_results.void_probe_result", stored.id, body=models.VoidRequest(reason="a test"))
        assert self.call("probe_results.get_probe_result", stored.id).voided.reason == "a test"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("description", help="openapi.yaml")
    parser.add_argument("program", help="relayrisk")
    parser.add_argument("report", help="a flat report of testssl.sh")
    arguments = parser.parse_args()
    configuration = pathlib.Path(__file__).with_name("client.yaml")
    with tempfile.TemporaryDirectory(prefix="relayrisk-journey-", dir="/tmp") as name:
        folder = pathlib.Path(name)
        # PostgreSQL runs as another user when this is root.
        folder.chmod(0o711)
        package = generated(arguments.description, configuration, folder)
        program, data = str(pathlib.Path(arguments.program).resolve()), str(folder / "data")
        created = subprocess.run(
            [program, "keys", "create", "--name", "journey", "--scope", "admin", "--data-dir", data],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        service, address = started(program, data, folder / "log")
        try:
            with package.AuthenticatedClient(base_url=address, token=created.stdout.strip()) as client:
                Journey(package, client).take(json.loads(pathlib.Path(arguments.report).read_text()))
        finally:
            service.terminate()
            service.wait()
    print("a generated client can go the way of a first user")


if __name__ == "__main__":
    main()
