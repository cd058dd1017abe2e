"""Placebos: captions that are like an arm's in form and say nothing of the image. What they gain too was not content.

`caption_shuffle_mapper`  gives every row the caption of another image
`caption_length_mapper`   gives every row raw words, as many as its caption has
"""

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pyarrow

from recap.data.corpus.index import index_table
from recap.data.processing.captions import BLIP2, RAW, value_for
from recap.data.processing.juicer import OPERATORS
from recap.data.processing.ops.corpus_mapper import RAW_TEXT, CorpusMapper
from recap.data.processing.ops.derangement import Circle, kinds_of


class Placebo(CorpusMapper):
    """A mapper that gives rows what belongs to rows of other images.

    Args:
        seed: Of who is given what; supplied by the stage.
        index_path: The corpus's index, by which pictures with the same bytes are one; supplied by the stage. Without
            it they are told apart by name.
    """

    def __init__(self, seed: int = 42, index_path: str = "", *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seed, self.index_path = seed, index_path

    def circle(self, table: pyarrow.Table, captions: list[str]) -> Circle:
        digests: dict[str, str] = {}
        if self.index_path:
            index = index_table(self.index_path, ["image", "digest"])
            digests = dict(zip(index["image"].to_pylist(), index["digest"].to_pylist(), strict=True))
        pictures = [value_for(image, digests) or image for image in self.images(table)]
        return Circle(self.ids(table), kinds_of(pictures, captions), self.seed)


@OPERATORS.register_module("caption_shuffle_mapper")
class CaptionShuffleMapper(Placebo):
    """Gives every row the caption of a row with another image: the same rows, and the same captions in other places.

    No row gets a caption of its own picture, under whatever name; nor its own words, unless half of the rows have the
    same ones. `caption_images` names the image that a caption was of.

    Args:
        caption_source: What rows say of their captions; neither raw nor blip2, which these are no more.

    Raises:
        ValueError: They would say one of those, or nothing.
    """

    def __init__(self, caption_source: str = "shuffled", *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if caption_source.strip() in ("", RAW, BLIP2):
            raise ValueError(f"caption_source: expected a placebo's name, found {caption_source!r}")
        self.caption_source = caption_source

    def process_table(self, table: pyarrow.Table) -> pyarrow.Table:
        captions, images = self.captions(table), self.images(table)
        circle = self.circle(table, captions)
        donors = [circle.other(row) for row in range(len(table))]
        return self.with_captions(
            table, [captions[donor] for donor in donors], self.caption_source, [[images[donor]] for donor in donors]
        )


@OPERATORS.register_module("caption_length_mapper")
class CaptionLengthMapper(Placebo):
    """Gives every row its raw caption in as many words as its caption has: cut, or continued with other raw captions.

    Words are what stands between blanks. `caption_images` names the row's image and those whose raw captions continue
    its own. Where no other image has a word, captions stay as short as they are.
    """

    def process_table(self, table: pyarrow.Table) -> pyarrow.Table:
        captions, images = self.captions(table), self.images(table)
        raw = table[RAW_TEXT].to_pylist() if RAW_TEXT in table.column_names else captions
        circle = self.circle(table, raw)
        made, sources = [], []
        for row, caption in enumerate(captions):
            length, words, used = len(caption.split()), raw[row].split(), [images[row]]
            for donor in self._donors(circle, row, raw):
                if len(words) >= length:
                    break
                words += raw[donor].split()
                used.append(images[donor])
            made.append(" ".join(words[:length]))
            sources.append(used)
        return self.with_captions(table, made, "length_matched", sources)

    def _donors(self, circle: Circle, row: int, raw: list[str]) -> Iterator[int]:
        """Rows of other images that have words, again and again, or none at all."""
        round_of_all = (circle.other(row, number) for number in range(len(raw)))
        able = (donor for donor in round_of_all if raw[donor].strip())
        return cycle(able)
