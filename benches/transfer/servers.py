"""Registries on loopback, each empty and on a free port, ended when they are left."""

import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from dataclasses import dataclass

SETTINGS = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{cache: {{blobdescriptor: inmemory}}, filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "127.0.0.1:{port}"{tls}}}
"""


@dataclass
class Authority:
    folder: pathlib.Path  # as one host's of Docker's certs.d
    certificate: pathlib.Path
    key: pathlib.Path


def make_authority(scratch):
    """A certificate for 127.0.0.1 that signs itself."""
    folder = scratch / "authority"
    folder.mkdir()
    certificate, key = folder / "ca.crt", scratch / "server.key"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*make, *name, "-keyout", key, "-out", certificate], check=True, stderr=subprocess.DEVNULL)
    return Authority(folder, certificate, key)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Registry:
    """Docker Distribution."""

    NAME = "docker-registry"

    def __init__(self, scratch, authority):
        self.scratch = scratch
        self.authority = authority

    def __enter__(self):
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.root = pathlib.Path(tempfile.mkdtemp(dir=self.scratch))
        if self.authority:
            trusted = self.scratch / ".docker" / "certs.d" / self.host
            trusted.mkdir(parents=True)
            shutil.copy(self.authority.certificate, trusted / "ca.crt")
        self.process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait()
        return self

    def command(self):
        tls = f", tls: {{certificate: {self.authority.certificate}, key: {self.authority.key}}}" if self.authority else ""
        settings = self.root / "settings.yml"
        settings.write_text(SETTINGS.format(root=self.root / "data", port=self.port, tls=tls))
        return ["docker-registry", "serve", settings]

    def wait(self):
        scheme = "https" if self.authority else "http"
        trusting = ssl._create_unverified_context()  # whether it is up, and nothing more
        for _ in range(200):
            try:
                urllib.request.urlopen(f"{scheme}://{self.host}/v2/", timeout=1, context=trusting).read()
                return
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit(f"{self.NAME} did not start") from None
                time.sleep(0.05)
        raise SystemExit(f"{self.NAME} does not answer")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.root)


class OwnRegistry(Registry):
    """Edgepost's, which keeps what an upload that broke had brought."""

    NAME = "edgepost registry"

    def __init__(self, scratch, program):
        super().__init__(scratch, None)
        self.program = program

    def command(self):
        return [self.program, "registry", "--listen", f"127.0.0.1:{self.port}", "--data", self.root / "data", "--anonymous"]
