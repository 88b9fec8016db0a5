"""Holds a running service against its description with requests that schemathesis makes up, and against testssl.sh.

The program is started twice on private clusters of its own: filled with the example relays, for schemathesis under each
seed, and over TLS. It fails when an answer is not as described, a server error comes back, or a finding on TLS is above
LOW that is not about the certificate, which this script signed itself.

usage: conformance.py RELAYRISK OPENAPI [SEED]...
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
# Of the certificate that was made for the test; and the renegotiation that testssl.sh 3.0 takes for granted when the
# server ends the connection as agreed: TLSTests shows that it does.
NOT_OURS = {"cert_chain_of_trust", "cert_expirationStatus", "cert_notAfter", "cert_revocation", "cert_validityPeriod",
            "secure_client_renego"}
ABOVE_LOW = {"MEDIUM", "HIGH", "CRITICAL"}


def started(program, data, log, *arguments):
    """The running service and its address."""
    command = [program, "serve", "--listen", "127.0.0.1:0", "--data-dir", data, *arguments]
    service = subprocess.Popen(command, stderr=log.open("w"))
    for _ in range(600):
        found = re.search(r"relayrisk listens on (\S+)", log.read_text())
        if found and " ready" in log.read_text():
            return service, found[1]
        if service.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit(f"the service did not start:\n{log.read_text()}")


def ended(service, log):
    """Whether the service was there to the end, and stops as it should."""
    alive = service.poll() is None
    service.terminate()
    if not alive or service.wait() != 0:
        sys.exit(f"the service did not survive:\n{log.read_text()[-4000:]}")


def described(program, description, folder, seeds):
    data, log = str(folder / "data"), folder / "log"
    key = subprocess.run([program, "keys", "create", "--name", "conformance", "--scope", "admin", "--data-dir", data],
                         check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()
    subprocess.run([program, "demo", "--data-dir", data], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    service, address = started(program, data, log)
    failed = []
    for seed in seeds:
        # A file of its own for each, because schemathesis remembers what it found.
        command = [
            pathlib.Path(sys.executable).with_name("schemathesis"), "--config-file", HERE / "schemathesis.toml", "run",
            description, "--url", address, "-H", f"Authorization: Bearer {key}", "--seed", seed, "-n", "50",
            "--continue-on-failure", "--no-color", "--warnings", "off"]
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE)}
        run = subprocess.run(command, env=environment, cwd=folder, text=True, stdout=subprocess.PIPE)
        count = re.search(r"Test cases:\n\s+(.*)", run.stdout)
        print(f"schemathesis, seed {seed}: {count[1] if count else 'no cases'}", flush=True)
        if run.returncode != 0:
            failed.append(seed)
            print(run.stdout[run.stdout.find("= FAILURES ="):] if "= FAILURES =" in run.stdout else run.stdout)
    ended(service, log)
    return failed


def secured(program, folder):
    certificate, key, report, log = (str(folder / name) for name in ("tls.pem", "tls-key.pem", "report", "tls-log"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out",
         certificate], check=True, stderr=subprocess.DEVNULL)
    service, address = started(
        program, str(folder / "tls-data"), pathlib.Path(log), "--tls-certificate", certificate, "--tls-key", key)
    subprocess.run(
        ["testssl", "--quiet", "--color", "0", "--warnings", "off", "--jsonfile", report,
         address.removeprefix("https://")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ended(service, pathlib.Path(log))
    findings = json.loads(pathlib.Path(report).read_text())
    bad = [found for found in findings if found["severity"] in ABOVE_LOW and found["id"] not in NOT_OURS]
    print(f"testssl.sh: {len(findings)} findings, {len(bad)} above LOW")
    for found in bad:
        print(f"  {found['severity']} {found['id']}: {found['finding']}")
    return bad


def main():
    program, description = (str(pathlib.Path(path).resolve()) for path in sys.argv[1:3])
    seeds = sys.argv[3:] or ["1", "2", "3"]
    with tempfile.TemporaryDirectory(prefix="relayrisk-conformance-", dir="/tmp") as name:
        folder = pathlib.Path(name)
        # PostgreSQL runs as another user when this is root.
        folder.chmod(0o711)
        bad = secured(program, folder)
        failed = described(program, description, folder, seeds)
    if bad or failed:
        sys.exit(1)


main()
