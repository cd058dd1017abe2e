"""What a run was made from, read from the project's kind of dvc.lock."""

from runs_repository import lock

from recap.comparison.inputs import merged_model, recorded_inputs

PARAMS = {
    f"models.{name}.path": f"models/{name}" for name in ("captioner", "aligner", "language_model", "vision_tower")
}


def test_hashes_of_a_run():
    more = {f"models.{name}.path": f"models/{name}" for name in ("vision_tower_aux", "start")}
    params = {**PARAMS, **more}
    assert recorded_inputs(lock("blip2"), params) == {
        "base model language_model": "md5 of models/language_model",
        "base model vision_tower": "md5 of models/vision_tower",
        "base model vision_tower_aux": "md5 of models/vision_tower_aux",
        "base model start": "md5 of models/start",
        "captioner": "md5 of models/captioner",
        "aligner": "md5 of models/aligner",
        "raw corpus": "md5 of data/corpus",
        "finetune set": "md5 of data/finetune",
        "recipe file": "md5 of recipes/blip2.yaml",
        **{f"benchmark {name}": f"md5 of data/benchmarks/{name}" for name in ("textvqa", "mmbench", "gqa")},
    }


def test_what_is_not_recorded_is_left_out():
    assert recorded_inputs({}, PARAMS) == {}
    assert recorded_inputs({"stages": None}, PARAMS) == {}
    assert "base model vision_tower_aux" not in recorded_inputs(lock("blip2"), PARAMS)


def test_the_model_of_a_run():
    assert merged_model(lock("blip2", 3)) == "model of blip2 3"
    assert merged_model({}) is merged_model({"stages": {"merge": {"cmd": "true"}}}) is None


def test_files_of_one_folder_are_hashed_together():
    def recorded(*deps):
        stage = {"deps": [{"path": path, "md5": md5} for path, md5 in deps]}
        return recorded_inputs({"stages": {"finetune": stage}}, PARAMS)["finetune set"]

    rows, images = ("data/finetune/train.json", "1"), ("data/finetune/images", "2")
    assert recorded(rows, images) == recorded(images, rows)
    assert recorded(rows, images) != recorded(rows, (images[0], "3"))
    assert recorded(rows, ("data/finetune_other", "2")) == "1"
