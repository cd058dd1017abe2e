"""The command line that both training stages share. Imports nothing heavy."""

import argparse
from pathlib import Path


def training_parser(description: str, *, data: str) -> argparse.ArgumentParser:
    """Flags of every training stage; the stage adds what it alone reads and writes.

    Args:
        description: Of the stage.
        data: What its training file holds.
    """
    parser = argparse.ArgumentParser(description=description)
    for name, meaning in (
        ("data", data),
        ("images", "folder that image paths start from"),
        ("language-model", "Gemma"),
        ("vision-tower", "CLIP"),
        ("vision-tower-aux", "ConvNeXt"),
        ("start-from", "what training starts from: the three parts, connectors, or a whole MGM"),
        ("samples", "out: the rows of each step (Parquet)"),
        ("left-out", "out: rows that could not train (JSONL)"),
        ("metrics", "out: metrics (JSON)"),
        ("details", "out: everything that is no metric (JSON)"),
        ("plots", "out: loss, gradient norm, learning rate by step"),
        ("timing", "out: duration and hardware (JSON)"),
    ):
        parser.add_argument(f"--{name}", type=Path, required=True, help=meaning)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="parameter file")
    return parser
