"""Broken files from sound ones, as hypothesis draws them: damage to what a file says, and to its bytes.

A file that says something (JSON, YAML, CSV, a tar, a table of Arrow, safetensors) is taken apart, a part of it is
dropped, doubled, renamed, moved or replaced by something hostile, and it is written again. Bytes are cut, flipped,
inserted, doubled, encoded anew; or they are nothing but random.
"""

import copy
import csv
import functools
import gzip
import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import pyarrow
import pyarrow.parquet
from hypothesis import strategies as st
from ruamel.yaml import YAML

# Text that no `json.dumps` writes, put in place of a key of its own.
RAW_JSON = {
    "@deep@": "[" * 50_000 + "]" * 50_000,
    "@deep object@": '{"a":' * 20_000 + "1" + "}" * 20_000,
    "@digits@": "9" * 5_000,
    "@exponent@": "1e99999",
    "@infinity@": "-Infinity",
    "@nan@": "NaN",
    "@broken escape@": '"\\ud8"',
    "@control@": '"a\x01\x1b[2Jb"',
    "@twice@": '{"id": 1, "id": 2, "image": "a", "image": null}',
}
_LEVELS = ["&l0 [x,x,x,x,x,x,x,x,x,x]"] + [f"&l{n} [{','.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10)]
RAW_YAML = RAW_JSON | {
    "@apply@": '!!python/object/apply:os.system ["touch ran"]',
    "@name@": "!!python/name:os.system",
    "@object@": "!!python/object:recap.io.Path {}",
    "@itself@": "&me [*me]",
    "@itself as key@": "&me {? *me : 1}",
    "@bomb@": f"[{', '.join(_LEVELS)}]",
    "@merge@": "{<<: [1, 2]}",
    "@merge itself@": "&me {<<: *me}",
    "@date@": "2026-13-45",
    "@time@": "2026-11-26T99:99:99Z",
    "@binary@": '!!binary "%%%"',
    "@float@": "!!float hello",
    "@int@": "!!int hello",
    "@bool@": "!!bool hello",
    "@set@": "!!set {a, b}",
    "@omap@": "!!omap [1]",
    "@sexagesimal@": "190:20:30",
    "@unknown alias@": "*nobody",
    "@tag@": "!<x:> 1",
    "@list as key@": "{? [a, b] : c}",
    "@null as key@": "{null: 1, 2: 3}",
}
HOSTILE: list[Any] = [
    None, True, False, 0, -1, 1, 10**18, 10**40, 1.5, 1e308, float("nan"), float("inf"), "", " ", "\0", "a\0b",
    "\ud800", "half \udfff a pair", "caf\u0065\u0301", "\u202egnp.exe", "../../../etc/passwd", "/etc/passwd", "..",
    ".", "~", "C:\\a.png", "file:///etc/passwd", "http://127.0.0.1:9/a.png", "data:image/png;base64,AAAA", "A" * 5_000,
    " " * 50_000, "line\nbreak", "<image>", "<image>" * 50, "<eos>", "=1+1", "nan", "null", "1e5", "0x10", "٣",
    "images/a.png",
    [], {}, [[]], [None], [1, "a"], {"a": 1}, {"bytes": "AAAA", "path": "../a.png"}, {"path": "/etc/passwd"},
    {"bytes": None, "path": None}, ["images/a.png"], ["images/a.png", "c.png"], [["human", "gpt"]],
]  # fmt: skip
NAMES = [
    "",
    "id",
    "image",
    "images",
    "text",
    "caption",
    "question_id",
    "answers",
    "conversations",
    "\0",
    "\ud800",
    "line\nbreak",
    "a" * 999,
]
PIECES = [
    b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\n", b"\r", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\t",
    b"'", b"-", b"&a", b"*a", b"!!", b"\xed\xa0\x80", b"\x1b[2J", b"\x80", b"PK\x03\x04", b"\x1f\x8b", b"\0" * 512,
    b"9" * 400, b"[" * 3_000, b'{"a":' * 2_000, b"\xff" * 64,
]  # fmt: skip


@st.composite
def broken(draw: st.DrawFn, content: bytes, kind: str) -> bytes:
    """A file of a kind, a key of `KINDS`, broken in one way or several."""
    way = draw(st.sampled_from(("says", "says", "says", "bytes", "bytes", "both", "random")))
    if way == "random":
        return draw(st.binary(max_size=600))
    if way in ("says", "both"):
        content = draw(KINDS[kind](content))
    if way in ("bytes", "both"):
        for _ in range(draw(st.integers(1, 3))):
            content = draw(_damaged(content))
    return content


@st.composite
def _damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """One damage to bytes."""
    at = draw(st.integers(0, len(content)))
    end = min(len(content), at + draw(st.sampled_from((1, 2, 8, 64, 512))))
    match draw(st.sampled_from(("cut", "cut", "flip", "flip", "insert", "drop", "double", "encode", "wipe"))):
        case "cut":
            return content[:at]
        case "flip" if at < len(content):
            return content[:at] + bytes([content[at] ^ (1 << draw(st.integers(0, 7)))]) + content[at + 1 :]
        case "insert":
            return content[:at] + draw(st.sampled_from(PIECES)) + content[at:]
        case "drop":
            return content[:at] + content[end:]
        case "double":
            return content[:end] + content[at:end] * draw(st.sampled_from((1, 2, 50))) + content[end:]
        case "wipe":
            return content[:at] + b"\0" * (end - at) + content[end:]
        case "encode":
            encoding = draw(st.sampled_from(("utf-16", "utf-16-le", "utf-8-sig", "utf-32", "cp500", "utf-7")))
            return content.decode("utf-8", "replace").encode(encoding, "replace")
    return content


@st.composite
def changed(draw: st.DrawFn, value: Any, raw: dict[str, str]) -> Any:
    """A value of JSON's kind with a few of its parts dropped, doubled, renamed, moved, wrapped or replaced."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(value))
        if not places:
            return copy.deepcopy(draw(st.sampled_from(HOSTILE)))
        holder, key = draw(st.sampled_from(places))
        hostile = st.sampled_from([*HOSTILE, *raw])
        match draw(
            st.sampled_from(("replace", "replace", "replace", "drop", "double", "rename", "swap", "wrap", "top"))
        ):
            case "replace":
                holder[key] = copy.deepcopy(draw(hostile))
            case "drop":
                del holder[key]
            case "double" if isinstance(holder, list):
                holder.insert(key, copy.deepcopy(holder[key]))
            case "rename" if isinstance(holder, dict):
                holder[draw(st.sampled_from(NAMES))] = holder.pop(key)
            case "swap":
                other, at = draw(st.sampled_from(places))
                holder[key] = copy.deepcopy(other[at])
            case "wrap":
                holder[key] = draw(st.sampled_from(([holder[key]], {"a": holder[key]}, json.dumps(holder[key]))))
            case "top" if draw(st.integers(0, 5)) == 0:
                return copy.deepcopy(draw(st.sampled_from((holder[key], [value], {"data": value}, *HOSTILE))))
    return value


def _places(value: Any) -> Any:
    """Every (list or object, index or key) within a value."""
    items = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for key, item in items:
        yield value, key
        yield from _places(item)


def _written(value: Any, raw: dict[str, str], **how: Any) -> str:
    text = json.dumps(value, **how)
    for name, spelt in raw.items():
        text = text.replace(f'"{name}"', spelt)
    return text


@st.composite
def _json(draw: st.DrawFn, content: bytes) -> bytes:
    value = draw(changed(json.loads(content), RAW_JSON))
    return _written(value, RAW_JSON, indent=draw(st.sampled_from((None, None, 2)))).encode()


@st.composite
def _lines(draw: st.DrawFn, content: bytes) -> bytes:
    rows = draw(changed([json.loads(line) for line in content.splitlines()], RAW_JSON))
    ends = draw(st.sampled_from(("\n", "\n", "\r\n", "\n\n", "\r")))
    rows = rows if isinstance(rows, list) else [rows]
    return ends.join(_written(row, RAW_JSON) for row in rows).encode()


@st.composite
def _yaml(draw: st.DrawFn, content: bytes) -> bytes:
    """Written as JSON, which YAML 1.2 holds."""
    return _written(draw(changed(_parsed_yaml(content), RAW_YAML)), RAW_YAML).encode()


@functools.cache
def _parsed_yaml(content: bytes) -> Any:
    """Of a sound file, the same for every input, and slow to parse: `changed` works on a copy."""
    return YAML(typ="safe").load(content)


@st.composite
def _table(draw: st.DrawFn, content: bytes, delimiter: str) -> bytes:
    rows = list(csv.reader(io.StringIO(content.decode()), delimiter=delimiter))
    rows = draw(changed(rows, {}))
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=draw(st.sampled_from((delimiter, delimiter, ";"))), lineterminator="\n")
    for row in rows if isinstance(rows, list) else [[rows]]:
        writer.writerow(row if isinstance(row, list) else [row])
    return stream.getvalue().encode("utf-8", "surrogatepass")


MEMBERS = [
    "../outside.txt", "/tmp/outside.txt", "a/../../outside.png", "x" * 300 + ".txt", "a\0b.txt", "caf\udce9.txt", ".",
    "", "0.json", "0.png", "0.txt", "0.a.png", "__meta__/x", "0", "0.__bad__",
]  # fmt: skip


@st.composite
def _tar(draw: st.DrawFn, content: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(members) - 1)) if members else 0
        match draw(st.sampled_from(("drop", "double", "name", "name", "type", "content", "size"))) if members else "":
            case "drop":
                del members[at]
            case "double":
                members.insert(at, members[at])
            case "name":
                members[at] = (tarfile.TarInfo(draw(st.sampled_from(MEMBERS))), members[at][1])
            case "type":
                kinds = (
                    tarfile.SYMTYPE,
                    tarfile.LNKTYPE,
                    tarfile.DIRTYPE,
                    tarfile.FIFOTYPE,
                    tarfile.CHRTYPE,
                    b"S",
                    b"x",
                )
                odd = tarfile.TarInfo(members[at][0].name)
                odd.type, odd.linkname = (
                    draw(st.sampled_from(kinds)),
                    draw(st.sampled_from(("/etc/passwd", "../x", "0.png"))),
                )
                members[at] = (odd, b"")
            case "content":
                hostile = draw(st.sampled_from(HOSTILE))
                members[at] = (members[at][0], json.dumps(hostile).encode())
            case "size":
                odd = tarfile.TarInfo(members[at][0].name)
                odd.size = draw(st.sampled_from((0, 1, 10**6, 8**11 - 1)))
                members[at] = (odd, members[at][1])
    return tar_of(members, draw(st.sampled_from((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))))


def tar_of(members: list[tuple[tarfile.TarInfo, bytes]], format: int = tarfile.GNU_FORMAT) -> bytes:
    """A tar of members as they are, whether their headers are true or not."""
    blocks = []
    for member, content in members:
        try:
            header = member.tobuf(format, "utf-8", "surrogateescape")
        except ValueError:  # a name too long for the format
            header = member.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
        blocks += [header, content, b"\0" * (-len(content) % tarfile.BLOCKSIZE)]
    return b"".join([*blocks, b"\0" * 2 * tarfile.BLOCKSIZE])


@st.composite
def _gzipped_tar(draw: st.DrawFn, content: bytes) -> bytes:
    return gzip.compress(draw(_tar(gzip.decompress(content))), 1, mtime=0)


@st.composite
def _parquet(draw: st.DrawFn, content: bytes) -> bytes:
    rows = draw(changed(pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist(), {}))
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    stream = io.BytesIO()
    try:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), stream)
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError):  # no table holds that
        return draw(_damaged(content))
    return stream.getvalue()


@st.composite
def _safetensors(draw: st.DrawFn, content: bytes) -> bytes:
    length = int.from_bytes(content[:8], "little")
    header = draw(changed(json.loads(content[8 : 8 + length]), RAW_JSON))
    text = _written(header, RAW_JSON).encode()
    told = draw(st.sampled_from((len(text), len(text), len(text), 0, 1, len(text) + 1, 2**31, 2**63, 2**64 - 1)))
    return told.to_bytes(8, "little") + text + content[8 + length :]


# What a file is, to whoever breaks it.
KINDS: dict[str, Callable[[bytes], st.SearchStrategy[bytes]]] = {
    "json": _json,
    "lines": _lines,
    "yaml": _yaml,
    "csv": functools.partial(_table, delimiter=","),
    "tsv": functools.partial(_table, delimiter="\t"),
    "tar": _tar,
    "tar.gz": _gzipped_tar,
    "parquet": _parquet,
    "safetensors": _safetensors,
    "bytes": _damaged,
}
