"""Tiny benchmark folders."""

from tests.benchmark_folders import (  # noqa: F401
    folders,
    gqa_folder,
    mmbench_folder,
    okvqa_folder,
    textvqa_folder,
    vqav2_folder,
)
