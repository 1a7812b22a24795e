"""An S3 server of moto's on loopback, behind a door that can be shut as a network that fails."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pyarrow.fs

KEY, SECRET = "AKIAROBUSTSWEEP", "sEcReT/of+an%access=key"
QUOTED = "sEcReT%2Fof%2Ban%25access%3Dkey"
BUCKET = "bucket"
START_SECONDS = 60.0
REQUEST = re.compile(r'"(?:\x1b\[[\d;]+m)*(\w+ \S+) HTTP[^"]*" \d+')


class Door:
    """Forwards connections to a port; shut, it refuses new ones and drops those there are."""

    def __init__(self, behind):
        self.behind, self.sockets, self.port = behind, set(), 0
        self.open()

    def open(self):
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def shut(self):
        for end in {self._listener, *self.sockets}:
            _close(end)
        self.sockets.clear()

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                here, _ = listener.accept()
                there = socket.create_connection(("127.0.0.1", self.behind))
                self.sockets |= {here, there}
                for ends in ((here, there), (there, here)):
                    threading.Thread(target=_forward, args=ends, daemon=True).start()


def _forward(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    for end in (source, sink):
        _close(end)


def _close(end):
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


class S3:
    """The server; `uri` names a root in its one bucket, `requests` are those since it was asked last."""

    def __init__(self, folder: Path):
        self.log, self._read = folder / "moto.log", 0
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert time.monotonic() < until, self.log.read_text()
            assert self._process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        self._port, self.door = port, Door(port)
        fs, _ = pyarrow.fs.FileSystem.from_uri(f"{self.uri('x')}&allow_bucket_creation=true")
        fs.create_dir(BUCKET)

    def uri(self, prefix, *, bucket=BUCKET):
        return f"s3://{KEY}:{QUOTED}@{bucket}/{prefix}?scheme=http&endpoint_override=127.0.0.1:{self.door.port}"

    @property
    def environment(self):
        """What a process needs for a root without keys and endpoint: s3://bucket/prefix."""
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith(("ROBUST_SWEEP", "MLFLOW", "RAY", "AWS"))},
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.door.port}",
            "AWS_REGION": "us-east-1",
        }

    def requests(self):
        time.sleep(0.2)  # until the server has written them down
        text = self.log.read_text()
        new, self._read = text[self._read :], len(text)
        return [request for request in REQUEST.findall(new) if "moto-api" not in request]

    def check_keys(self, *, after):
        """Let the server refuse unknown keys after so many requests, or never: inf."""
        url = f"http://127.0.0.1:{self._port}/moto-api/reset-auth"
        headers = {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(url, str(after).encode(), headers)).close()

    def stop(self):
        self.door.shut()
        self._process.terminate()
        self._process.wait()
