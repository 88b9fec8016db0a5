"""The release build on a private cluster of its own, as the benchmarks run it, and what its process costs."""
import json
import os
import pwd
import re
import subprocess
import time
import urllib.request

TICKS = os.sysconf("SC_CLK_TCK")


class Service:
    """A service on loopback, its database empty but for an admin's key."""

    def __init__(self, program, directory):
        # PostgreSQL may run as another user, who has to get through.
        os.chmod(directory, 0o711)
        self.directory = os.path.join(directory, "data")
        data = ["--data-dir", self.directory]
        create = [program, "keys", "create", "--name", "bench", "--scope", "admin", *data]
        self.key = subprocess.check_output(create, stderr=subprocess.DEVNULL, text=True).strip()
        self.command = [program, "serve", "--listen", "127.0.0.1:0", *data]
        self.log = os.path.join(directory, "serve.log")
        self.start()

    def start(self):
        """Starts it and waits until it is ready; returns the seconds that took."""
        began = time.monotonic()
        self.process = subprocess.Popen(self.command, stderr=open(self.log, "w"))
        self.url = None
        while self.url is None:
            assert self.process.poll() is None, open(self.log).read()
            time.sleep(0.02)
            found = re.search(r"relayrisk listens on (http://\S+)", open(self.log).read())
            self.url = found and found[1]
        while not self.is_ready():
            time.sleep(0.02)
        return time.monotonic() - began

    def is_ready(self):
        try:
            return urllib.request.urlopen(self.url + "/readyz").status == 200
        except OSError:
            return False

    def open(self, path, body=None, content_type="application/json"):
        """The answer to a GET or, with a body, a POST."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data)
        request.add_header("Authorization", "Bearer " + self.key)
        if data is not None:
            request.add_header("Content-Type", content_type)
        return urllib.request.urlopen(request)

    def call(self, path, body=None):
        return json.load(self.open(path, body))

    def as_owner(self, *command):
        """A command of PostgreSQL's, run as the user and against the server of the private cluster."""
        owner = pwd.getpwuid(os.stat(os.path.join(self.directory, "postgres")).st_uid).pw_name
        socket = open(os.path.join(self.directory, "postgres-socket")).read().strip()
        environment = ["env", f"PGHOST={socket}", "PGUSER=relayrisk", "PGDATABASE=relayrisk",
                       "PGOPTIONS=-c statement_timeout=0"]
        other = [] if owner == pwd.getpwuid(os.getuid()).pw_name else ["runuser", "-u", owner, "--"]
        return [*other, *environment, *command]

    def sql(self, text):
        """Runs statements past the service; returns what they print, without heads."""
        command = self.as_owner("psql", "-qAtX", "-v", "ON_ERROR_STOP=1")
        return subprocess.run(command, input=text, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def resident_megabytes(self):
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{self.process.pid}/status").read())[1]) / 1024

    def stop(self):
        self.process.terminate()
        assert self.process.wait() == 0


def cpu_seconds(pid):
    """What a process has used, user and system."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
