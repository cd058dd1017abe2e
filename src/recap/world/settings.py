"""The schema of a world.yaml: how much of the street world is written, and with which defects."""

from recap.params import Percent, PositiveInt, Section


class CaptionDefects(Section):
    """Percent of raw captions with each defect; a caption is at most one of the first three."""

    too_short: Percent
    repetitive: Percent
    mismatched: Percent
    with_sign_word: Percent


class CorpusSettings(Section):
    pairs: PositiveInt
    captions: CaptionDefects


class FinetuneSettings(Section):
    conversations: PositiveInt
    reading: Percent
    multiple_choice: Percent
    describing: Percent
    text_only: Percent


class BenchmarkSettings(Section):
    questions: PositiveInt


class WorldSettings(Section):
    """All of a world.yaml."""

    seed: int
    corpus: CorpusSettings
    finetune: FinetuneSettings
    benchmarks: BenchmarkSettings
