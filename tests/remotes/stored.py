"""What a server keeps of what was pushed, object by object: to compare it, and to do it harm."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from ruamel.yaml import YAML

from tests.experiments.stub_project import Project
from tests.remotes.servers import BUCKET, Served

OBJECTS = "files/md5"


def output_oid(project: Project, name: str, path: str) -> str:
    """The object that an experiment's output is."""
    lock = YAML(typ="safe").load(project.git("show", f"{project.experiment(name)}:dvc.lock"))
    outputs = [out for stage in lock["stages"].values() for out in stage["outs"]]
    return next(str(out["md5"]) for out in outputs if out["path"] == path)


class Stored(Protocol):
    """Objects by their MD5, which is also where they lie: its first two digits are a folder."""

    def write(self, oid: str, content: bytes) -> None: ...
    def delete(self, oid: str) -> None: ...
    def all(self) -> dict[str, bytes]: ...


def stored(served: Served, below: str = "") -> Stored:
    """What lies below a path of a remote's URL."""
    if served.objects is not None:
        return _Files(served.objects / below / OBJECTS)
    return _Bucket(served, f"store/{below}/{OBJECTS}".replace("//", "/"))


class _Files:
    def __init__(self, root: Path) -> None:
        self._root = root

    def _path(self, oid: str) -> Path:
        return self._root / oid[:2] / oid[2:]

    def write(self, oid: str, content: bytes) -> None:
        # As a failing disk would: a file of the same mode, so that nobody is told to look at it again.
        path = self._path(oid)
        mode = path.stat().st_mode if path.exists() else 0o444
        self.delete(oid)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        os.chmod(path, mode)

    def delete(self, oid: str) -> None:
        self._path(oid).unlink(missing_ok=True)

    def all(self) -> dict[str, bytes]:
        # Beside them lie `*.tmp` of pushes over SSH that were cut.
        return {path.parent.name + path.name: path.read_bytes() for path in self._root.glob("??/[0-9a-f]*")}


class _Bucket:
    def __init__(self, served: Served, prefix: str) -> None:
        import boto3

        login = {f"aws_{name}": served.local[name] for name in ("access_key_id", "secret_access_key")}
        self._client: Any = boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{served.port}", region_name="us-east-1", **login
        )
        self._prefix = prefix

    def _key(self, oid: str) -> str:
        return f"{self._prefix}/{oid[:2]}/{oid[2:]}"

    def write(self, oid: str, content: bytes) -> None:
        self._client.put_object(Bucket=BUCKET, Key=self._key(oid), Body=content)

    def delete(self, oid: str) -> None:
        self._client.delete_object(Bucket=BUCKET, Key=self._key(oid))

    def all(self) -> dict[str, bytes]:
        return {
            "".join(key.split("/")[-2:]): self._client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            for key in self._keys()
        }

    def _keys(self) -> Iterator[str]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=self._prefix):
            yield from (each["Key"] for each in page.get("Contents", []))
