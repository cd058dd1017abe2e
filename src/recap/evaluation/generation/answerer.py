"""Answer a benchmark's questions with an MGM: batched, resumable, and the same whatever the batch size.

In: questions, their images, model and processor. Out: one `Reply` per question. Equal prompts about equal
images are asked once. Each batch is journalled when it is done; a run that was killed goes on from there.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tqdm import tqdm
from transformers import AutoModelForImageTextToText, AutoProcessor

# These two register MGM with the Auto classes.
import recap.models.mgm.modeling_mgm
import recap.models.mgm.processing_mgm  # noqa: F401
from recap.data.benchmarks.pictures import open_question_image
from recap.data.benchmarks.questions import Question, prompt_hash
from recap.data.corpus.images import BadImage
from recap.evaluation.generation.decoding import GreedyDecoder
from recap.runtime.scratch import Journal

log = logging.getLogger(__name__)

Pixels = dict[str, torch.Tensor]

# Stands for the blank image where a question names its own.
BLANK = "blank:"


@dataclass(frozen=True)
class Reply:
    """What came back for one question.

    Attributes:
        text: The answer; empty if there is none.
        unanswered: Why there is none: one of `BadImage`'s reasons.
        detail: One line for a person.
    """

    text: str
    unanswered: str | None = None
    detail: str | None = None


def load_for_inference(folder: str | Path, *, device: torch.device, dtype: torch.dtype) -> tuple[Any, Any]:
    """A merged model in evaluation mode, and its processor."""
    model: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype)
    return model.to(device).eval(), AutoProcessor.from_pretrained(folder)


class Answerer:
    """A model with everything it needs to answer one benchmark.

    Args:
        model: An MGM in evaluation mode.
        processor: Its `MGMProcessor`.
        folder: What the questions' image paths start from.
        journal: Keeps the replies.
        batch_size: Questions at a time; changes speed and memory only.
        max_new_tokens: Longest answer, its end marks included.
        image_aspect_ratio: "pad" or "square", as in training.

    Attributes:
        num_asked: What was put to the model, without what the journal already had.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        folder: str | Path,
        journal: Journal,
        batch_size: int,
        max_new_tokens: int,
        image_aspect_ratio: str,
    ) -> None:
        self.processor = processor
        self.folder = Path(folder)
        self.journal = journal
        self.batch_size = batch_size
        self.image_aspect_ratio = image_aspect_ratio
        self.num_asked = 0
        self.decoder = GreedyDecoder(
            model,
            eos_token_id=processor.tokenizer.eos_token_id,
            pad_token_id=processor.tokenizer.pad_token_id,
            max_new_tokens=max_new_tokens,
        )

    def answer(self, questions: Sequence[Question], *, blank: bool = False) -> dict[str, Reply]:
        """Answer questions.

        Args:
            questions: With unique keys.
            blank: Show an image of one colour, the one that padding has, in place of each question's own.

        Returns:
            Key to reply, in the order of `questions`.
        """
        if blank:
            questions = [replace(question, image=BLANK, image_id=BLANK) for question in questions]
        requests = {question.key: _request(question) for question in questions}
        replies = {row.pop("request"): Reply(**row) for row in self.journal}
        pending = {requests[q.key]: q for q in questions if requests[q.key] not in replies}
        log.info(
            "%d questions%s, %d distinct, %d of them to be answered now",
            len(questions),
            " with blank images" if blank else "",
            len(set(requests.values())),
            len(pending),
        )
        images: dict[str, Pixels | BadImage] = {}
        with tqdm(total=len(pending), unit="question", disable=not pending) as progress:
            for batch in self._batches(pending):
                images = self._load_images([question for _, question, _ in batch], images)
                new = self._answer_batch(batch, images)
                self.journal.append({"request": request, **asdict(reply)} for request, reply in new.items())
                replies |= new
                self.num_asked += len(batch)
                progress.update(len(batch))
        return {key: replies[request] for key, request in requests.items()}

    def _batches(self, pending: dict[str, Question]) -> Iterator[list[tuple[str, Question, list[int]]]]:
        """(request, question, tokens) in batches of equal length; questions about one image stand together."""
        rows = [
            (request, question, self.processor.expand(self.processor.tokenize(self.processor.prompt(question.text)))[0])
            for request, question in pending.items()
        ]
        rows.sort(key=lambda row: (len(row[2]), row[1].image_id, row[0]))
        for _, same_length in groupby(rows, key=lambda row: len(row[2])):
            bucket = list(same_length)
            for start in range(0, len(bucket), self.batch_size):
                yield bucket[start : start + self.batch_size]

    def _load_images(
        self, questions: Sequence[Question], previous: dict[str, Pixels | BadImage]
    ) -> dict[str, Pixels | BadImage]:
        """Prepared images of one batch by `image_id`; those that the previous batch had are used again."""
        images: dict[str, Pixels | BadImage] = {}
        for question in questions:
            name = question.image_id
            if name not in images:
                images[name] = previous[name] if name in previous else self._load_image(question)
        return images

    def _load_image(self, question: Question) -> Pixels | BadImage:
        preprocess = self.processor.image_processor
        try:
            blank = question.image == BLANK
            picture = blank_image(preprocess.image_mean) if blank else open_question_image(question, self.folder)
        except BadImage as problem:
            return problem
        return dict(preprocess(picture, image_aspect_ratio=self.image_aspect_ratio))

    def _answer_batch(
        self, batch: list[tuple[str, Question, list[int]]], images: dict[str, Pixels | BadImage]
    ) -> dict[str, Reply]:
        replies = {}
        asked, tokens, shown = [], [], []
        for request, question, ids in batch:
            pixels = images[question.image_id]
            if isinstance(pixels, BadImage):
                log.warning("question %s is left unanswered: %s", question.key, pixels)
                replies[request] = Reply("", pixels.reason, pixels.detail)
            else:
                asked.append(request)
                tokens.append(ids)
                shown.append(pixels)
        if asked:
            pixels = {name: torch.cat([image[name] for image in shown]) for name in shown[0]}
            for request, ids in zip(asked, self.decoder.decode(torch.tensor(tokens), pixels), strict=True):
                text = self.processor.tokenizer.decode(ids, skip_special_tokens=True).strip()
                replies[request] = Reply(text)
        return replies


def _request(question: Question) -> str:
    """Names what the model is asked: the prompt and the image, nothing else."""
    return prompt_hash(f"{question.image_id}\0{question.text}")


def blank_image(image_mean: Sequence[float]) -> Image.Image:
    """An image without content: the colour that pads images to a square. Its size does not matter, it is scaled."""
    red, green, blue = (int(255 * mean) for mean in image_mean)
    return Image.new("RGB", (64, 64), (red, green, blue))
