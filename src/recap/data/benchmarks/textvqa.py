"""TextVQA 0.5.1 (Singh et al. 2019): reading text in pictures.

Files: `TextVQA_0.5.1_val.json`, `train_images/`, and for prompts with OCR tokens LLaVA's
`llava_textvqa_val_v051_ocr.jsonl`.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recap.data.benchmarks.base import Benchmark
from recap.data.benchmarks.questions import SHORT_ANSWER, ImageNames, Question
from recap.io import read_json, read_jsonl, write_json, write_jsonl
from recap.runtime.errors import UserError

if TYPE_CHECKING:
    from recap.world.asking import Asked
    from recap.world.scenes import Scene
    from recap.world.street import StreetWorld

OCR_FILE = "llava_textvqa_val_v051_ocr.jsonl"
OCR_MARK = "Reference OCR token:"
# What the embedded world asks.
FAMILIES = {"read_word": 1}


class TextVQA(Benchmark):
    """The answer file's `question_id` is the image, as in LLaVA's files; `key` is the annotation's question id."""

    name = "textvqa"
    title = "TextVQA"
    folder = "textvqa"
    questions_files = ("TextVQA_0.5.1_val.json", "textvqa_val.json")
    rows_key = "data"
    images_folder = "train_images"
    scoring = "mmf"

    def read(self, folder: Path) -> list[Question]:
        images = ImageNames(folder, self.images_folder)
        return [
            self._question(row, text, images.path(str(row["image_id"]))) for row, text in self._rows_and_prompts(folder)
        ]

    def _rows_and_prompts(self, folder: Path) -> list[tuple[dict[str, Any], str]]:
        rows = read_json(folder / self.questions_files[0])[self.rows_key]
        return [(row, f"{row['question']}\n{SHORT_ANSWER}") for row in rows]

    def _question(self, row: dict[str, Any], text: str, image: str) -> Question:
        return Question(
            key=str(row["question_id"]),
            question_id=row["image_id"],
            image=image,
            image_id=image,
            question=row["question"],
            text=text,
            references=tuple(row["answers"]),
        )

    def write(self, world: "StreetWorld", folder: Path) -> int:
        asked = world.ask(self.name, FAMILIES, "written")
        # The real validation split begins with this id.
        rows = [_row(item, question_id) for question_id, item in enumerate(asked, start=34602)]
        head = {"dataset_type": "val", "dataset_name": "textvqa", "dataset_version": "0.5.1"}
        write_json(folder / self.questions_files[0], {**head, self.rows_key: rows})
        write_jsonl(folder / OCR_FILE, map(_ocr_row, asked))
        images = folder / self.images_folder
        world.draw({images / f"{_image_id(item.scene)}.jpg": item.scene for item in asked}, self.name)
        return len(asked)


class TextVQAWithTokens(TextVQA):
    """The same questions with the benchmark's OCR tokens in the prompts, as LLaVA and MGM evaluate."""

    name = "textvqa_ocr"
    title = "TextVQA with OCR tokens"
    note = "its prompts hold what an OCR engine read in the picture, which is worth about twelve points"

    def _rows_and_prompts(self, folder: Path) -> list[tuple[dict[str, Any], str]]:
        rows = [row for row, _ in super()._rows_and_prompts(folder)]
        require_prompts(folder / OCR_FILE, rows)
        prompts = _ocr_prompts(folder / OCR_FILE)
        return [(row, prompts[_prompt_key(row)]) for row in rows]


def require_prompts(ocr_file: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Check that a file of OCR tokens speaks of every question.

    Raises:
        UserError: It does not, or is not there.
    """
    if missing := prompts_missing(ocr_file, rows):
        raise UserError(
            f"{ocr_file}: expected a line for question {missing[0]}, found none (so for {len(missing)} of {len(rows)} "
            "questions); add them, or take textvqa_ocr out of the parameter benchmarks"
        )


def prompts_missing(ocr_file: Path, rows: Sequence[dict[str, Any]]) -> list[Any]:
    """The ids of the questions that a file of OCR tokens has no line for."""
    prompts = _ocr_prompts(ocr_file)
    return [row["question_id"] for row in rows if not prompts.get(_prompt_key(row))]


def question_in_prompt(prompt: str) -> str:
    """Find the question in a LLaVA TextVQA prompt (LLaVA@c121f04, llava/eval/eval_textvqa.py).

    Three forms: `OCR tokens: … Question: Q Short answer:`; the lines question, `Reference OCR token: …` and
    instruction, or the first two in the other order; the lines question and instruction. Unlike the original, a
    token or a question that holds a line break is no error.

    Raises:
        UserError: The prompt has none of these forms.
    """
    if prompt.startswith("OCR tokens: ") and "Question: " in prompt:
        return prompt.split("Question: ", 1)[1].split(" Short answer:", 1)[0]
    lines = prompt.split("\n")
    if prompt.startswith(OCR_MARK) and len(lines) > 2:
        return lines[-2]
    if f"\n{OCR_MARK}" in prompt:
        return prompt.split(f"\n{OCR_MARK}", 1)[0]
    if len(lines) > 1:
        return "\n".join(lines[:-1])
    raise UserError(f"expected a TextVQA prompt in LLaVA's form, found {prompt!r}")


def _ocr_prompts(path: Path) -> dict[tuple[str, str], str]:
    """Prompts by image and lower-case question; the file's `question_id` is the image."""
    if not path.exists():
        raise UserError(
            f"{path}: textvqa_ocr asks with the benchmark's OCR tokens, but their file is missing; add it, or take "
            "textvqa_ocr out of the parameter benchmarks"
        )
    try:
        return {
            (str(row["question_id"]), question_in_prompt(row["text"]).lower()): row["text"] for row in read_jsonl(path)
        }
    except (KeyError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise UserError(
            f"{path}: expected lines with question_id and text, as LLaVA's file has, found {problem}"
        ) from None


def _prompt_key(row: dict[str, Any]) -> tuple[str, str]:
    return str(row["image_id"]), row["question"].lower()


def _image_id(scene: "Scene") -> str:
    return hashlib.blake2b(scene.id.encode(), digest_size=8).hexdigest()


def _row(item: "Asked", question_id: int) -> dict[str, Any]:
    return {
        "question": item.question,
        "image_id": _image_id(item.scene),
        "image_classes": [],
        "flickr_original_url": "",
        "flickr_300k_url": "",
        "image_width": item.scene.width,
        "image_height": item.scene.height,
        "answers": list(item.answers),
        "question_tokens": item.question.rstrip("?").split(),
        "question_id": question_id,
        "set_name": "val",
    }


def _ocr_row(item: "Asked") -> dict[str, Any]:
    image_id = _image_id(item.scene)
    return {
        # The image's id: what the field holds in the file that LLaVA and MGM use.
        "question_id": image_id,
        "image": f"{image_id}.jpg",
        "text": f"{item.question}\n{OCR_MARK} {', '.join(item.ocr_tokens)}\n{SHORT_ANSWER}",
        "category": "default",
    }
