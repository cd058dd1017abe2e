"""The benchmarks by name, in the order in which results are shown."""

from recap.evaluation.benchmarks.base import Benchmark
from recap.evaluation.benchmarks.gqa import GQA
from recap.evaluation.benchmarks.mmbench import MMBench
from recap.evaluation.benchmarks.okvqa import OKVQA
from recap.evaluation.benchmarks.textvqa import TextVQA
from recap.evaluation.benchmarks.vqav2 import VQAv2

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark for benchmark in (TextVQA(), MMBench(), VQAv2(), GQA(), OKVQA())
}
