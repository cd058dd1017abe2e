"""Every reader of what a user brings, or of what one stage leaves to another: a sound input, and what reads it.

A new reader is one entry of `READERS`.
"""

import csv
import functools
import gzip
import io
import itertools
import json
import re
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet
import torch
from datasets import Dataset
from safetensors.torch import save

from recap.data.benchmarks.registry import BENCHMARKS, WITH_FILES
from recap.data.processing.recipe import read_recipe
from recap.data.sources.pictures import Terms
from recap.data.sources.preparation import take_benchmark
from recap.data.sources.user_conversations import take_conversations
from recap.data.sources.user_corpus import take_corpus
from recap.evaluation.scoring.answer_files import read_answers
from recap.evaluation.scoring.registry import scorer_of
from recap.io import read_json, read_jsonl, read_object
from recap.models.mgm.checkpoint import read_tensors
from recap.models.presence import require_whole
from recap.params import load_all, read_yaml, validate
from recap.runtime.store import Store
from recap.runtime.upkeep import inventory, results, structure_problems
from recap.training.adapters import read_adapter
from recap.world.settings import WorldSettings
from tests import benchmark_folders
from tests.format_files import Folder, picture

ROOT = Path(__file__).parent.parent.parent

Files = dict[str, bytes]
"""Path below the input's folder -> content."""


@dataclass(frozen=True)
class Counts:
    """How many rows were read and how many reported as faults."""

    read: int
    reported: int = 0


@dataclass(frozen=True)
class Reader:
    """Something that reads.

    Attributes:
        name: In test ids and in the table of a long run.
        breaks: File -> its kind, a key of `tests.fuzz.inputs.KINDS`: what is broken, one file at a time.
        sound: Writes a sound input into an empty folder.
        read: Reads that folder, may write into a second one, and says what it found where it counts.
        rows_of: How many rows a broken file has; None where nobody can tell.
    """

    name: str
    breaks: dict[str, str]
    sound: Callable[[Path], Any]
    read: Callable[[Path, Path], Counts | None]
    rows_of: Callable[[bytes], int | None] = lambda _: None


ROWS = [
    {"id": "1", "caption": "a red square", "image": "images/a.png", "score": 0.5},
    {"id": "2", "caption": "a blue café", "image": "images/b.png", "score": None},
    {"id": "3", "caption": "nothing", "image": "c.png", "score": 2},
]


def _corpus(path: str, write: Callable[[Folder], Any]) -> dict[str, Any]:
    """Of a reader of a corpus that is a file, or a folder, of the input's folder."""

    def sound(folder: Path) -> None:
        write(Folder(folder))

    def read(folder: Path, output: Path) -> Counts:
        part = take_corpus(folder / path, output / "corpus", Terms(source=folder))
        assert part.unread == 0
        _json_holds([fault.to_row() for fault in part.rejections])
        return Counts(part.rows, len(part.rejections))

    return {"sound": sound, "read": read}


def _samples(folder: Folder) -> None:
    members: dict[str, bytes | str] = {}
    for number in range(3):
        members |= {f"{number}.png": picture(number), f"{number}.txt": "a word", f"{number}.json": f'{{"n": {number}}}'}
    folder.tar("train.tar", members)


def _gzipped_samples(folder: Folder) -> None:
    _samples(folder)
    (folder.path / "train.tar.gz").write_bytes(gzip.compress((folder.path / "train.tar").read_bytes(), 1, mtime=0))
    (folder.path / "train.tar").unlink()


def _image_folder(folder: Folder) -> None:
    folder.text("images/a.txt", "a red square")
    folder.json("images/b.json", {"caption": "a blue one", "id": 7})


def _image_table(folder: Folder) -> None:
    folder.lines("images/metadata.jsonl", [{"file_name": f"{name}.png", "text": "words"} for name in "ab"])


def _saved(folder: Folder) -> None:
    rows = [{"id": str(number), "text": "words", "image": f"images/{name}.png"} for number, name in enumerate("ab")]
    Dataset.from_list(rows).save_to_disk(str(folder.path / "train"))


def _coco(folder: Folder) -> None:
    images = [{"id": number, "file_name": name} for number, name in enumerate(("images/a.png", "images/b.png"))]
    annotations = [{"id": 10 + number, "image_id": number % 2, "caption": "words"} for number in range(3)]
    folder.json("captions_train2017.json", {"info": {}, "images": images, "annotations": annotations})


def _conversations(folder: Path) -> None:
    pairs = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A square."}]
    chat = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, {"role": "assistant", "content": "Yes."}]
    rows = [
        {"id": "1", "image": "images/a.png", "conversations": pairs},
        {"id": "2", "images": ["c.png"], "conversations": pairs * 1 + [{"from": "human", "value": "?"}]},
        {"messages": chat},
    ]
    Folder(folder).json("finetune.json", rows)


def _finetune(folder: Path, output: Path) -> Counts:
    part = take_conversations(folder / "finetune.json", output / "finetune", Terms(source=folder))
    _json_holds([fault.to_row() for fault in part.rejections])
    assert part.rows == len(read_json(output / "finetune/train.json"))
    return Counts(part.rows, len(part.rejections))


def _benchmark(name: str) -> dict[str, Any]:
    """Of a reader of a benchmark's files: what `prepare` takes, later stages load."""

    def sound(folder: Path) -> None:
        getattr(benchmark_folders, f"{name}_folder").__wrapped__(folder)

    def read(folder: Path, output: Path) -> Counts:
        benchmark = WITH_FILES[name]
        part = take_benchmark(benchmark, folder / name / benchmark.questions_files[0], output / name)
        _json_holds([fault.to_row() for fault in part.rejections])
        if part.rows and name != "gqa":  # of which questions that are not balanced are left aside
            assert len(benchmark.load(output / name)) == part.rows
        return Counts(part.rows, len(part.rejections))

    return {"sound": sound, "read": read}


def _ocr(folder: Path, _: Path) -> None:
    BENCHMARKS["textvqa_ocr"].load(folder / "textvqa")


def _benchmark_as_left(name: str) -> Callable[[Path, Path], None]:
    return lambda folder, _: BENCHMARKS[name].load(folder / name) and None


def _answers(name: str) -> dict[str, Any]:
    """Of what reads and scores answers: Recap's own rows, and rows of other tools."""

    def sound(folder: Path) -> None:
        getattr(benchmark_folders, f"{name}_folder").__wrapped__(folder)
        rows: list[dict[str, Any]] = [
            {"question_id": q.question_id, "prompt": q.text, "text": "stop", "metadata": {}, "key": q.key}
            for q in BENCHMARKS[name].load(folder / name)
        ]
        rows[0] = {"question_id": rows[0]["key"], "answer": "stop"}
        rows[1]["metadata"] = {"unanswered": "broken_image"}
        Folder(folder).lines("answers.jsonl", rows)

    def read(folder: Path, _: Path) -> None:
        questions = BENCHMARKS[name].load(folder / name)
        metrics, rows = scorer_of(BENCHMARKS[name]).score(questions, read_answers(folder / "answers.jsonl"))
        assert len(rows) == len({question.key for question in questions}) or name == "mmbench"
        _json_holds([metrics, rows])

    return {"breaks": {"answers.jsonl": "lines"}, "sound": sound, "read": read}


def _copied(source: str, name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((ROOT / source).read_bytes()) and None


@functools.cache
def _tensors() -> bytes:
    return save({name: torch.ones(2, 3) for name in ("a.weight", "b.weight")})


@functools.cache
def _adapter_tensors() -> bytes:
    prefix = "base_model.model.model"
    names = (f"{prefix}.layers.0.self_attn.q_proj.lora_A.weight", f"{prefix}.mm_projector.0.weight")
    return save({name: torch.ones(2, 3) for name in names})


def _adapter(folder: Path) -> None:
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM"}
    Folder(folder).json("adapter_config.json", config)
    (folder / "adapter_model.safetensors").write_bytes(_adapter_tensors())


def _pickled(folder: Path) -> None:
    torch.save({"mm_projector.0.weight": torch.ones(2, 3)}, folder / "mm_projector.bin")


def _model(folder: Path) -> None:
    there = Folder(folder)
    there.json("config.json", {"vocab_size": 4, "text_config": {"vocab_size": 4}})
    there.json(
        "model.safetensors.index.json", {"weight_map": {"a.weight": "1.safetensors", "b.weight": "1.safetensors"}}
    )
    there.json("tokenizer.json", {"model": {"vocab": {"a": 0, "b": 3}}, "added_tokens": [{"id": 2}]})
    (folder / "1.safetensors").write_bytes(_tensors())


def _store(folder: Path) -> None:
    with Store(folder / "store.sqlite") as store:
        store.put("caption", {"seed": 1}, {f"{number:032x}": [{"caption": "words"}] for number in range(20)})
        # Small pages, of which less is empty.
        store.execute("PRAGMA page_size = 512")
        store.execute("VACUUM")


def _read_store(folder: Path, _: Path) -> None:
    with Store(folder / "store.sqlite", patience=0.1) as store:
        store.get("caption", {"seed": 1}, [f"{number:032x}" for number in range(20)])
        for held in inventory(store):
            for result in results(store, held):
                assert isinstance(result.is_damaged, bool)
        structure_problems(store)


def _json_holds(value: Any) -> None:
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def _parsed(content: bytes) -> Any:
    """As JSON; None if it is none, or nothing that everybody reads alike."""
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def _items(content: bytes) -> int | None:
    value = _parsed(content)
    return len(value) if isinstance(value, list) else None


def _lines(content: bytes) -> int | None:
    lines = [line for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    return len(lines) if lines and not lines[0].strip().startswith(b"[") else None


def _under(key: str) -> Callable[[bytes], int | None]:
    def count(content: bytes) -> int | None:
        value = _parsed(content)
        return len(value[key]) if isinstance(value, dict) and isinstance(value.get(key), list) else None

    return count


def _members(content: bytes) -> int | None:
    value = _parsed(content)
    return len(value) if isinstance(value, dict) else None


def _samples_of(content: bytes) -> int | None:
    """Runs of files of one stem, and files that are of no sample by their names."""
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            names = [member.name for member in tar if member.isfile()]
    except (tarfile.TarError, OSError, EOFError, ValueError, TypeError, MemoryError, zlib.error):
        return None
    parts = [re.fullmatch(r"((?:.*/)?[^./][^.]*)\.([^/]*)", name) for name in names if not name.startswith("__meta__")]
    stems = [part[1] for part in parts if part and not part[2].startswith("__")]
    return len(list(itertools.groupby(stems))) + len(parts) - len(stems)


def _cells(content: bytes) -> int | None:
    """Rows of a table whose every quote closes."""
    head, _, _ = content.partition(b"\n")
    if head.strip() != b"id,caption,image,score" or b"\r" in content or b"\0" in content:
        return None
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8", "surrogateescape"), newline=""), strict=True))
    except csv.Error:
        return None
    return sum(any(row) for row in rows[1:])


def _parquet_rows(content: bytes) -> int | None:
    try:
        return pyarrow.parquet.read_table(io.BytesIO(content)).num_rows
    except Exception:  # damaged: some rows are lost, and who reads them says so
        return None


READERS = [
    Reader(
        "json lines",
        {"train.jsonl": "lines"},
        rows_of=_lines,
        **_corpus("train.jsonl", lambda f: f.lines("train.jsonl", ROWS)),
    ),
    Reader(
        "json array",
        {"train.json": "json"},
        rows_of=_items,
        **_corpus("train.json", lambda f: f.json("train.json", ROWS)),
    ),
    Reader("coco", {"captions_train2017.json": "json"}, **_corpus("captions_train2017.json", _coco)),
    Reader("csv", {"train.csv": "csv"}, rows_of=_cells, **_corpus("train.csv", lambda f: f.table("train.csv", ROWS))),
    Reader(
        "parquet",
        {"train.parquet": "parquet"},
        rows_of=_parquet_rows,
        **_corpus("train.parquet", lambda f: f.table("train.parquet", ROWS)),
    ),
    Reader("webdataset", {"train.tar": "tar"}, rows_of=_samples_of, **_corpus("train.tar", _samples)),
    Reader(
        "webdataset, gzip",
        {"train.tar.gz": "tar.gz"},
        rows_of=_samples_of,
        **_corpus("train.tar.gz", _gzipped_samples),
    ),
    Reader(
        "image folder",
        {"images/a.txt": "bytes", "images/b.json": "json", "images/a.png": "bytes"},
        rows_of=lambda _: 2,
        **_corpus("images", _image_folder),
    ),
    Reader("image table", {"images/metadata.jsonl": "lines"}, rows_of=_lines, **_corpus("images", _image_table)),
    Reader(
        "saved dataset",
        {"train/state.json": "json", "train/dataset_info.json": "json", "train/data-00000-of-00001.arrow": "bytes"},
        **_corpus("train", _saved),
    ),
    Reader("finetune", {"finetune.json": "json"}, _conversations, _finetune, _items),
    Reader("textvqa", {"textvqa/TextVQA_0.5.1_val.json": "json"}, rows_of=_under("data"), **_benchmark("textvqa")),
    Reader("textvqa, OCR", {"textvqa/llava_textvqa_val_v051_ocr.jsonl": "lines"}, _benchmark("textvqa")["sound"], _ocr),
    Reader(
        "vqav2",
        {
            "vqav2/v2_OpenEnded_mscoco_val2014_questions.json": "json",
            "vqav2/v2_mscoco_val2014_annotations.json": "json",
        },
        **_benchmark("vqav2"),
    ),
    Reader(
        "okvqa",
        {"okvqa/OpenEnded_mscoco_val2014_questions.json": "json", "okvqa/mscoco_val2014_annotations.json": "json"},
        **_benchmark("okvqa"),
    ),
    Reader("gqa", {"gqa/testdev_balanced_questions.json": "json"}, rows_of=_members, **_benchmark("gqa")),
    Reader("mmbench", {"mmbench/mmbench_dev.tsv": "tsv"}, **_benchmark("mmbench")),
    Reader(
        "textvqa, as left",
        {"textvqa/TextVQA_0.5.1_val.json": "json"},
        _benchmark("textvqa")["sound"],
        _benchmark_as_left("textvqa"),
    ),
    Reader(
        "mmbench, as left",
        {"mmbench/mmbench_dev.tsv": "tsv"},
        _benchmark("mmbench")["sound"],
        _benchmark_as_left("mmbench"),
    ),
    Reader(
        "vqav2, as left",
        {"vqav2/v2_mscoco_val2014_annotations.json": "json"},
        _benchmark("vqav2")["sound"],
        _benchmark_as_left("vqav2"),
    ),
    Reader(
        "gqa, as left",
        {"gqa/testdev_balanced_questions.json": "json"},
        _benchmark("gqa")["sound"],
        _benchmark_as_left("gqa"),
    ),
    *(Reader(f"answers to {name}", **_answers(name)) for name in ("textvqa", "vqav2", "gqa", "mmbench")),
    Reader(
        "params.yaml",
        {"params.yaml": "yaml"},
        _copied("params.yaml", "params.yaml"),
        lambda folder, _: load_all(folder / "params.yaml") and None,
    ),
    Reader(
        "recipe",
        {"mine.yaml": "yaml"},
        _copied("recipes/blip2.yaml", "mine.yaml"),
        lambda folder, _: read_recipe(folder / "mine.yaml") and None,
    ),
    Reader(
        "world.yaml",
        {"world.yaml": "yaml"},
        _copied("worlds/hamlet/world.yaml", "world.yaml"),
        lambda folder, _: validate(WorldSettings, read_yaml(folder / "world.yaml"), "world.yaml") and None,
    ),
    Reader(
        "adapter",
        {"adapter_config.json": "json", "adapter_model.safetensors": "safetensors"},
        _adapter,
        lambda folder, _: read_adapter(folder) and None,
    ),
    Reader(
        "weights",
        {"1.safetensors": "safetensors"},
        _model,
        lambda folder, _: read_tensors(folder / "1.safetensors") and None,
    ),
    Reader(
        "weights, pickled",
        {"mm_projector.bin": "bytes"},
        _pickled,
        lambda folder, _: read_tensors(folder / "mm_projector.bin") and None,
    ),
    Reader(
        "model folder",
        {
            "config.json": "json",
            "tokenizer.json": "json",
            "model.safetensors.index.json": "json",
            "1.safetensors": "safetensors",
        },
        _model,
        lambda folder, _: require_whole(folder, "model", tokenizer=True),
    ),
    Reader(
        "rows between stages",
        {"rows.jsonl": "lines"},
        lambda folder: Folder(folder).lines("rows.jsonl", ROWS),
        lambda folder, _: list(read_jsonl(folder / "rows.jsonl")) and None,
    ),
    Reader(
        "object between stages",
        {"a.json": "json"},
        lambda folder: Folder(folder).json("a.json", ROWS[0]),
        lambda folder, _: read_object(folder / "a.json") and None,
    ),
    Reader("store", {"store.sqlite": "bytes"}, _store, _read_store),
]
