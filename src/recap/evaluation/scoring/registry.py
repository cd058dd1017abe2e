"""The scorers by their benchmark's name."""

from recap.evaluation.scoring.base import Scorer
from recap.evaluation.scoring.gqa import GQAScorer
from recap.evaluation.scoring.mmbench import MMBenchScorer
from recap.evaluation.scoring.textvqa import TextVQAScorer
from recap.evaluation.scoring.vqav2 import OKVQAScorer, VQAv2Scorer

SCORERS: dict[str, Scorer] = {
    scorer.name: scorer for scorer in (TextVQAScorer(), MMBenchScorer(), VQAv2Scorer(), GQAScorer(), OKVQAScorer())
}
