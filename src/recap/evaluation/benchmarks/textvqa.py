"""TextVQA 0.5.1 (Singh et al. 2019): reading text in pictures.

Files: `TextVQA_0.5.1_val.json`, `train_images/`, and for prompts with OCR tokens LLaVA's
`llava_textvqa_val_v051_ocr.jsonl`. Whether tokens are in the prompt moves a score by some 12 points.
"""

from pathlib import Path

from recap.evaluation.benchmarks.base import Benchmark
from recap.evaluation.benchmarks.questions import SHORT_ANSWER, ImageNames, Question
from recap.io import read_json, read_jsonl
from recap.runtime.errors import UserError

ANNOTATIONS = "TextVQA_0.5.1_val.json"
OCR_QUESTIONS = "llava_textvqa_val_v051_ocr.jsonl"
OCR_MARK = "Reference OCR token:"


class TextVQA(Benchmark):
    """The answer file's `question_id` is the image, as in LLaVA's files; `key` is the annotation's question id."""

    name = "textvqa"

    def read(self, folder: Path, *, ocr_tokens: bool) -> list[Question]:
        prompts = _ocr_prompts(folder / OCR_QUESTIONS) if ocr_tokens else None
        images = ImageNames(folder, "train_images")
        questions = []
        for row in read_json(folder / ANNOTATIONS)["data"]:
            text = f"{row['question']}\n{SHORT_ANSWER}"
            if prompts is not None:
                text = prompts.get((row["image_id"], row["question"].lower()), "")
                if not text:
                    raise UserError(
                        f"{folder / OCR_QUESTIONS}: expected a line for question {row['question_id']}, found none"
                    )
            image = images.path(row["image_id"])
            questions.append(
                Question(
                    key=str(row["question_id"]),
                    question_id=row["image_id"],
                    image=image,
                    image_id=image,
                    question=row["question"],
                    text=text,
                    references=tuple(row["answers"]),
                )
            )
        return questions


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
            f"{path}: answer.ocr_tokens is true, but the file with the tokens is missing; add it or set false"
        )
    return {(row["question_id"], question_in_prompt(row["text"]).lower()): row["text"] for row in read_jsonl(path)}
