"""What a dvc.lock tells: dependencies from outside, and the stages that follow a parameter."""

from recap.experiments.locked import outer_dependencies, output_digest, stages_after

STAGES = {
    "prepare": {"deps": [{"path": "src/data"}], "outs": [{"path": "data/corpus"}, {"path": "metrics/prepare.json"}]},
    "caption": {
        "deps": [{"path": "data/corpus/train.jsonl"}, {"path": "src/data"}],
        "params": {"params.yaml": {"caption.seed": 42}},
        "outs": [{"path": "data/captions.jsonl"}],
    },
    "train": {
        "deps": [{"path": "data/captions.jsonl"}, {"path": "models/tiny"}],
        "params": {"params.yaml": {"seed": 42, "lora": {"r": 16}}},
        "outs": [{"path": "models/merged"}, {"path": "metrics/train.json"}],
    },
    "answer@gqa": {"deps": [{"path": "models/merged"}], "outs": [{"path": "data/answers/gqa.jsonl"}]},
    "report": {"deps": [{"path": "metrics"}], "outs": [{"path": "data/report/index.html", "md5": "abc"}]},
}


def test_dependencies_that_no_stage_makes() -> None:
    # data/corpus/train.jsonl lies in an output, and metrics holds outputs.
    assert [dependency["path"] for dependency in outer_dependencies(STAGES)] == ["src/data", "models/tiny"]


def test_stages_that_follow_a_parameter() -> None:
    assert set(stages_after(STAGES, "seed")) == {"train", "answer@gqa", "report"}
    assert set(stages_after(STAGES, "caption.seed")) == {"caption", "train", "answer@gqa", "report"}
    assert stages_after(STAGES, "nothing") == []


def test_digest_of_an_output() -> None:
    assert output_digest(STAGES, "data/report/index.html") == "abc"
    assert output_digest(STAGES, "data/report/other.html") is None
