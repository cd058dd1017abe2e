"""Real servers on loopback that a DVC remote can lie on: OpenSSH, S3 (moto), a read-only web server, a folder.

Each is started by the test that wants it, as the user who runs the tests, in a temporary folder, and ends with it.
`Wire` stands between a client and a server, and can be cut: what a killed server or a lost network is to a client.
"""

import getpass
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

READY_S = 60.0
BUCKET = "recap"
REGION = "us-east-1"


@dataclass(frozen=True)
class Served:
    """A remote that is being served.

    Attributes:
        url: For `make remote R=`.
        local: Options for `dvc remote modify --local store`: what belongs to one person or machine.
        environment: What a client's commands need in their environment.
        port: Where the server listens; None for a folder.
        objects: Where the server keeps what was pushed, if that is a folder.
    """

    url: str
    local: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    port: int | None = None
    objects: Path | None = None


@contextmanager
def folder(place: Path) -> Iterator[Served]:
    store = place / "store"
    store.mkdir(parents=True)
    yield Served(str(store), objects=store)


@contextmanager
def ssh(place: Path) -> Iterator[Served]:
    """OpenSSH's sshd with a host key and a login key of its own."""
    sshd = _program("sshd", "openssh-server")
    place.mkdir(parents=True)
    for key in ("host", "login"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / key)], check=True)
    shutil.copy(place / "login.pub", place / "authorized_keys")
    if getpass.getuser() == "root":
        # Root's sshd insists on a folder to jail its unprivileged part in.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = _free_port()
    (place / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {place}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {place}/authorized_keys\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\nMaxStartups 100\n"
    )
    store = place / "store"
    store.mkdir()
    with serving([sshd, "-D", "-e", "-f", str(place / "sshd_config")], port, place / "log"):
        yield Served(
            f"ssh://{getpass.getuser()}@127.0.0.1:{port}{store}", {"keyfile": str(place / "login")}, {}, port, store
        )


@contextmanager
def s3(place: Path) -> Iterator[Served]:
    """moto's server, which speaks S3 over HTTP and keeps everything in memory; told to check who comes."""
    for module in ("moto", "flask", "flask_cors", "s3fs"):
        pytest.importorskip(module, reason="no S3 to serve: pip install 'moto[s3]' flask flask-cors dvc-s3")
    place.mkdir(parents=True)
    port = _free_port()
    endpoint = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with serving(command, port, place / "log"):
        login = _s3_login(endpoint)
        yield Served(f"s3://{BUCKET}/store", {"endpointurl": endpoint, **login}, {"AWS_DEFAULT_REGION": REGION}, port)


def _s3_login(endpoint: str) -> dict[str, str]:
    """A bucket, and a user who may do anything with S3; from then on everybody must be one, with a signature."""
    import boto3

    client = partial(
        boto3.client, endpoint_url=endpoint, region_name=REGION, aws_access_key_id="root", aws_secret_access_key="root"
    )
    iam = client("iam")
    iam.create_user(UserName="someone")
    key = iam.create_access_key(UserName="someone")["AccessKey"]
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="someone", PolicyName="store", PolicyDocument=json.dumps(allowed))
    client("s3").create_bucket(Bucket=BUCKET)
    plain = {"Content-Type": "text/plain"}
    urlopen(Request(f"{endpoint}/moto-api/reset-auth", data=b"0", headers=plain)).close()
    return {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}


@contextmanager
def web(place: Path) -> Iterator[Served]:
    """nginx, or Python's own web server without it: hands out the files of a folder, and takes none."""
    store = place / "store"
    store.mkdir(parents=True)
    port = _free_port()
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    served = Served(f"http://127.0.0.1:{port}", {}, {}, port, store)
    if nginx is None:
        with _python_web_server(store, port):
            yield served
        return
    user = f"user {getpass.getuser()};" if getpass.getuser() == "root" else ""
    temporary = "".join(
        f"{kind}_temp_path {place}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (place / "nginx.conf").write_text(
        f"daemon off; {user} pid {place}/pid; error_log {place}/error.log; events {{}}\n"
        f"http {{ access_log off; {temporary}\n"
        f"server {{ listen 127.0.0.1:{port}; root {store}; }} }}\n"
    )
    with serving([nginx, "-p", str(place), "-c", str(place / "nginx.conf")], port, place / "log"):
        yield served


class Wire:
    """Forwards a local port to another, until it is cut: then every connection is closed, and new ones are refused.

    Attributes:
        port: Where clients connect.
        carried: Bytes that went through, both ways.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.carried = 0
        self._allowed: int | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.port = 0
        self.mend()

    def mend(self, allowed: int | None = None) -> None:
        """Forward again, at the same port; with `allowed`, until that many bytes have gone through."""
        self.carried, self._allowed = 0, allowed
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        with self._lock:
            for each in (self._listener, *self._open):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
            self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            with self._lock:
                self._open |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(1 << 14):
                sink.sendall(chunk)
                self.carried += len(chunk)
                if self._allowed is not None and self.carried >= self._allowed:
                    self.cut()
                    return
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def _program(name: str, package: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        pytest.skip(f"no {name} to serve with: apt-get install {package}")
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def serving(command: list[str], port: int, log: Path) -> Iterator[None]:
    """Run a server until the block ends; skip where it does not come to listen, with what it said."""
    with ExitStack() as stack:
        stream = stack.enter_context(log.open("wb"))
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
        try:
            deadline = time.monotonic() + READY_S
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.skip(f"{command[0]} cannot serve here: {' '.join(log.read_text().split())[-300:]}")
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def _python_web_server(store: Path, port: int) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=str(store))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


SERVERS: dict[str, Callable] = {"folder": folder, "ssh": ssh, "s3": s3, "http": web}
