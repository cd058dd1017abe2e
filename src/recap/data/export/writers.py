"""Write pairs in the formats that other tools train from. Each writer fills a folder that Recap itself reads back."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from recap.data.corpus.records import dj_text
from recap.data.export.pairs import Pair
from recap.data.formats.llava import PROMPT, conversation
from recap.data.formats.pictures import below_root, suffix_of
from recap.data.sources.shards import SHARD_BYTES


def write_data_juicer(pairs: Iterable[Pair], folder: Path) -> int:
    """`train.jsonl`, a row per line, and the pictures under their names. Returns the number of pairs."""
    count = 0
    with (folder / "train.jsonl").open("w", encoding="utf-8") as stream:
        for pair in _with_files(pairs, folder):
            row = {"id": pair.id, "text": dj_text(pair.caption), "images": [pair.image]}
            stream.write(_json(row, pair.fields) + "\n")
            count += 1
    return count


def write_llava(pairs: Iterable[Pair], folder: Path) -> int:
    """`train.json`, a list of conversations, and the pictures under their names. Returns the number of pairs."""
    count = 0
    with (folder / "train.json").open("w", encoding="utf-8") as stream:
        for pair in _with_files(pairs, folder):
            fields = dict(pair.fields)
            prompt = fields.pop(PROMPT, None)
            said = conversation(pair.caption, prompt if isinstance(prompt, str) else None)
            row = {"id": pair.id, "image": pair.image, "conversations": said}
            stream.write((",\n" if count else "[\n") + _json(row, fields))
            count += 1
        stream.write("\n]\n" if count else "[]\n")
    return count


def write_webdataset(pairs: Iterable[Pair], folder: Path, *, shard_bytes: int = SHARD_BYTES) -> int:
    """Tars `train-00000.tar`, ...: of each pair the picture, its caption as .txt, and the rest as .json."""
    from webdataset import ShardWriter  # imports PyTorch, which no other format needs

    count = 0
    pattern = f"{str(folder).replace('%', '%%')}/train-%05d.tar"
    # A date of its own would make the bytes differ from run to run.
    with ShardWriter(pattern, maxcount=10**6, maxsize=shard_bytes, verbose=0, mtime=0) as shards:
        for pair in pairs:
            row = {"id": pair.id, "image": pair.image}
            shards.write(
                {
                    "__key__": f"{count:09d}",
                    suffix_of(pair.content).removeprefix(".") or "jpg": pair.content,
                    "txt": pair.caption.encode(),
                    "json": _json(row, pair.fields).encode(),
                }
            )
            count += 1
    return count


def _with_files(pairs: Iterable[Pair], folder: Path) -> Iterator[Pair]:
    """The pairs, each with its picture written below `folder`."""
    for pair in pairs:
        # A name may be a path that leads elsewhere before it leads back.
        name = below_root(pair.image)
        if not (path := folder / name).exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pair.content)
        yield replace(pair, image=name)


def _json(own: dict[str, Any], fields: dict[str, Any]) -> str:
    """A row: its own keys first, and no further field in their place."""
    return json.dumps({**own, **fields, **own}, ensure_ascii=False, allow_nan=False)
