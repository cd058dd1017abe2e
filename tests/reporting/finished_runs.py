"""A finished run as the stages leave it, made in a second: pictures drawn here, some of its texts are hostile."""

import base64
import json
import math
import random
from pathlib import Path

from PIL import Image, ImageDraw

from recap.io import write_results
from recap.reporting.run import RunFiles

ROOT = Path(__file__).parents[2]
HOSTILE = "<script>alert('x')</script> \"quoted\" & <img src=https://evil.example/x.png onerror=alert(1)>"
# What else a captioner, or a corpus, may put before a reader.
STYLE_END = "</style></script></dd></figure><!-- &lt;b&gt;"
TURNED = "\u202egnp.exe \u2067\u2066 a sign"
ARABIC = "لافتة حمراء بجانب الطريق"
EMOJI = "👩‍👩‍👧‍👦🏳️‍🌈 a sign 🛑"
LONG_WORD = "w" * 500
LONG = "a sign beside a road " * 200
# What the stages put into metrics/; everything else is details.
HEADLINES = {
    "prepare": ("corpus.rejected",),
    "explore": ("text.too_short_percent", "leaked_images"),
    "process": ("rows_in", "rows_out", "kept_percent", "recaptioned_rows"),
    "caption": ("num_failed",),
    "pretrain": ("loss_final", "loss_spike_score", "samples_seen", "unique_samples"),
    "finetune": ("val_loss", "loss_final", "loss_spike_score"),
    "merge": ("logit_difference_max",),
}
SCORE_HEADLINE = ("accuracy", "accuracy_stderr", "blank_accuracy")
COLOURS = ("crimson", "teal", "goldenrod", "slateblue", "olive", "sienna")


def write_json(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_jsonl(path: Path, rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def draw(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    size = (402, 370) if number % 3 else (300, 420)
    image = Image.new("RGB", size, "whitesmoke")
    pen = ImageDraw.Draw(image)
    pen.rectangle((60, 90, 240, 280), fill=COLOURS[number % len(COLOURS)])
    pen.text((90, 150), f"SIGN {number}", fill="white", font_size=32)
    image.save(path)


def raw_alignment(i: int) -> float:
    return round(0.1 + 0.01 * i, 6)


def blip2_alignment(i: int) -> float:
    """Row 0's new caption gains most, 0.15; each later row's 0.02 less: from row 8 on they lose."""
    return round(0.25 - 0.01 * i, 6)


def write_corpus(data: Path, recipe: str) -> None:
    captions = [f"a {COLOURS[i % 6]} sign with the word SIGN{i} beside a road" for i in range(20)]
    captions[3] = HOSTILE
    raw = [f"sign {i} - stock photo" for i in range(20)]
    raw[5], raw[1], raw[13] = HOSTILE, LONG, TURNED
    rows = []
    for i in range(20):
        draw(data / f"corpus/images/{i}.jpg", i)
        replaced = recipe == "blip2"
        text = captions[i] if replaced else raw[i]
        rows.append(
            {
                "id": f"street_{i}",
                "text": f"<__dj__image> {text} <|__dj__eoc|>",
                "images": [f"images/{i}.jpg"],
                "raw_text": raw[i],
                "caption_source": "blip2" if replaced else "raw",
                "alignment": blip2_alignment(i) if replaced else raw_alignment(i),
                "raw_alignment": raw_alignment(i),
                "blip2_alignment": blip2_alignment(i),
            }
        )
    raw_rows = (
        {"id": f"street_{i}", "image": f"images/{i}.jpg", "caption": raw[i], "alignment": raw_alignment(i)}
        for i in range(20)
    )
    write_jsonl(data / "raw_captions.jsonl", raw_rows)
    write_jsonl(data / "captions.jsonl", (captioned(i, caption) for i, caption in enumerate(captions)))
    write_jsonl(data / "processed/train.jsonl", rows[:14] if recipe == "blip2" else rows)
    if recipe == "blip2":
        write_trace(data / "processed/trace", rows)


def captioned(i: int, caption: str) -> dict:
    """What BLIP-2 offers for image `i`: its caption, a worse one, and junk."""

    def candidate(text: str, alignment: float | None = None, junk: str | None = None, **more) -> dict:
        scores = {"alignment": alignment, "itm": more.get("itm"), "novelty": more.get("novelty")}
        return {"caption": text, "prompt": "", "truncated": junk == "cut_off", "junk": junk, **scores}

    others = (HOSTILE, STYLE_END, TURNED, ARABIC, EMOJI, LONG_WORD, LONG)
    offered = [
        candidate(others[i % len(others)], round(blip2_alignment(i) - 0.1, 6), itm=0.25, novelty=0.75),
        candidate(caption, blip2_alignment(i), itm=0.875, novelty=0.5),
        candidate("a sign a sign a sign a sign", junk="loop"),
        candidate(f"a sign {others[i % len(others)]}", junk="cut_off"),
    ]
    return {"image": f"images/{i}.jpg", "caption": caption, "alignment": blip2_alignment(i), "candidates": offered}


def write_trace(trace: Path, rows) -> None:
    def drop(row, reason, before):
        return {"id": row["id"], "image": row["images"][0], "reason": reason, "before": before, "after": None}

    write_jsonl(
        trace / "01_image_shape_filter.jsonl",
        [drop(row, "image_shape_filter: image_height=180, image_width=200", row["raw_text"]) for row in rows[14:17]],
    )
    changed = [{**drop(row, "blip2_caption_lookup_mapper", row["raw_text"]), "after": row["text"]} for row in rows]
    write_jsonl(trace / "02_blip2_caption_lookup_mapper.jsonl", changed)
    write_jsonl(
        trace / "03_words_num_filter.jsonl",
        [drop(row, "words_num_filter: num_words=3", row["text"]) for row in rows[17:]],
    )
    write_jsonl(trace / "funnel.jsonl", [])


def funnel(recipe: str) -> dict:
    if recipe != "blip2":
        return {
            "rows_in": 2400,
            "rows_out": 2400,
            "kept_percent": 100.0,
            "dropped_rows": 0,
            "recaptioned_rows": 0,
            "operators": {},
        }
    counts = [
        ("image_shape_filter", 2400, 2310, 0),
        ("blip2_captioned_filter", 2310, 2308, 0),
        ("blip2_caption_lookup_mapper", 2308, 2308, 2304),
        ("words_num_filter", 2308, 2190, 0),
        ("word_repetition_filter", 2190, 2190, 0),
        ("character_repetition_filter", 2190, 2161, 0),
        ("text_length_filter", 2161, 2159, 0),
    ]
    operators = {
        label: {
            "rows_in": before,
            "rows_out": after,
            "dropped": before - after,
            "changed": changed,
            "added": 0,
            "share_percent": 100 * after / before,
            "reasons": {},
            "statistic": None,
            "before": None,
            "after": None,
        }
        for label, before, after, changed in counts
    }
    operators["words_num_filter"] |= {
        "reasons": {"num_words low": 110, "num_words high": 8},
        "statistic": "num_words",
        "before": {"min": 1.0, "p5": 4.0, "p25": 9.0, "median": 11.5, "p75": 14.0, "p95": 62.0, "max": 70.0},
        "after": {"min": 6.0, "p5": 8.0, "p25": 9.0, "median": 12.0, "p75": 14.0, "p95": 41.0, "max": 60.0},
    }
    # Numbers as wide as they come.
    operators["character_repetition_filter"] |= {
        "reasons": {"char_rep_ratio high": 29},
        "statistic": "char_rep_ratio",
        "before": {"min": -0.632863, "p5": -0.111612, "median": 0.616182, "p95": 0.717812, "max": 0.786168},
        "after": {"min": -0.632863, "p5": 0.002532, "median": 0.017451, "p95": 0.117812, "max": 0.149962},
    }
    head = {"rows_in": 2400, "rows_out": 2159, "kept_percent": 89.958333, "dropped_rows": 241, "recaptioned_rows": 2159}
    return {**head, "operators": operators}


def write_numbers(folder: Path, recipe: str, *, blank: bool) -> None:
    """Metrics and details of every stage."""

    def write(subject: str, values: dict) -> None:
        metrics, details = folder / "metrics", folder / "data/details"
        headline = HEADLINES.get(subject, SCORE_HEADLINE)
        write_results(metrics / f"{subject}.json", details / f"{subject}.json", subject, values, headline=headline)

    write_json(folder / "data/details/check.json", {"check": {"wiring_only": False}})
    write("process", funnel(recipe))
    short = {"title": "captions that are too short", "rows": 94, "percent": 3.916667}
    advice = "drop, or recaption them: recipe `selective`"
    write(
        "explore",
        {
            "rows": 2400,
            "text": {"too_short_percent": 3.916667},
            "leaked_images": 0,
            "suggested_recipe": {"rows_kept": 2207},
            "findings": {"too_short": short | {"advice": advice}},
        },
    )
    write(
        "prepare",
        {
            "sources": {"corpus": "user", "finetune": "embedded", "gqa": "embedded"},
            "corpus": {"rows": 2400, "rejected": 2},
        },
    )
    numbers = {
        "words_mean": 8.78,
        "words_sd": 3.49,
        "too_short_percent": 3.9,
        "mattr": 0.6123,
        "mtld": 31.4,
        "hdd": 0.7012,
        "distinct_2": 0.1812,
        "self_bleu": 71.2,
        "alignment": 0.195,
    }

    def with_interval(value: float) -> dict:
        return {"value": value, "low": value - 0.02, "high": value + 0.02}

    before = {name: with_interval(value) for name, value in numbers.items()}
    after = {name: with_interval(value * 1.31) for name, value in numbers.items()}
    change = {name: with_interval(after[name]["value"] - before[name]["value"]) for name in numbers}
    no_interval = {"low": None, "high": None, "reason": "the values do not differ"}
    for side, value in ((before, 2.1), (after, 0.0), (change, -2.1)):
        side["repetitive_percent"] = {"value": value, **no_interval}
    sizes = {"confidence_percent": 95.0, "subsamples": 5, "sample_rows": 400, "sample_tokens": 3200}
    whole = {side: {"tokens": 21000, "vocabulary": 1311, "ttr": 0.0624} for side in ("before", "after")}
    measures = {"before": before, "after": after, "change": change}
    write_json(folder / "data/details/quality.json", {"quality": {**sizes, **measures, "whole": whole}})
    headline = {side: {"mattr": measures[side]["mattr"]["value"]} for side in ("after", "change")}
    write_json(folder / "metrics/quality.json", {"quality": headline})
    failures = {"missing_image": 0, "broken_image": 2, "junk_loop": 1}
    junk = {"loop": 20, "cut_off": 21}
    captioned = {"num_images": 2400, "num_failed": 3, "failed_by_reason": failures, "num_candidates": 9588}
    write("caption", captioned | {"junk_percent": 0.4276, "junk_by_reason": junk})
    chance = {"scored": 2400, "mean": 0.021}
    write_json(folder / "data/details/align_raw.json", {"align_raw": {"aligner": True, "chance": chance}})
    for stage in ("pretrain", "finetune"):
        values = {
            "steps": 240,
            "samples_seen": 3840,
            "unique_samples": 2000,
            "epochs": 1.78,
            "trained_parameters": 213504,
            "trained_percent": 4.12,
            "loss_first": 6.73,
            "loss_final": 1.92,
            "loss_spike_score": 0.0,
            "grad_norm_max": 8.41,
            "clipped_steps_percent": 12.5,
            "nonfinite_steps": 0,
        }
        if stage == "finetune":
            values |= {"val_loss": 1.8765, "val_rows": 64, "rows_held_out": 64}
            values["by_source"] = {
                "conversation": {"samples_seen": 2880, "rows": 1500, "unique_samples": 1500, "epochs": 1.92},
                "caption": {"samples_seen": 960, "rows": 2159, "unique_samples": 960, "epochs": 0.4447},
            }
        environment = {"device": "cpu", "dtype": "float32", "threads": 2, "world_size": 1}
        environment["versions"] = {"torch": "2.9.1", "transformers": "5.1.0"}
        write(stage, values | environment)
    write(
        "merge",
        {
            "lora_tensors": 56,
            "connector_tensors": 14,
            "probes": 8,
            "logit_difference_max": 1.2e-5,
            "logit_difference_mean": 8e-7,
            "greedy_agreement_percent": 100.0,
            "adapter_effect_max": 3.41,
            "dtype": "float32",
        },
    )
    conventions = {"textvqa": "mmf", "mmbench": "circular, exact matching, vlmevalkit e8e78f05", "gqa": "llava_gqa"}
    for index, (name, convention) in enumerate(conventions.items()):
        values = {
            "accuracy": 61.24 - 17 * index,
            "accuracy_stderr": 1.93,
            "num_expected": 400,
            "num_unanswered": 3 * (index == 2),
            "convention": convention,
        }
        blanks = (
            {"blank_accuracy": 12.5, "blank_accuracy_stderr": 1.2}
            if blank
            else {"blank_accuracy": None, "blank_accuracy_stderr": None}
        )
        write(name, values | blanks)


def write_curves(plots: Path) -> None:
    luck = random.Random(0)
    for stage, start in (("pretrain", 6.7), ("finetune", 2.4)):
        for name, scale in (("loss", 1.0), ("grad_norm", 0.6)):
            values = [
                scale * (1 + (start - 1) * math.exp(-step / 40)) * luck.uniform(0.9, 1.1) for step in range(1, 241)
            ]
            values[150] *= 2.5
            lines = [f"step\t{name}", *(f"{step}\t{value}" for step, value in enumerate(values, start=1))]
            path = plots / stage / f"{name}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join([*lines, "241\tnan"]) + "\n")
    lines = ["step\tval_loss", *(f"{step}\t{2.4 - step / 400}" for step in (100, 200, 240))]
    (plots / "finetune" / "val_loss.tsv").write_text("\n".join(lines) + "\n")


def write_spread(plots: Path) -> None:
    """Percent of captions by alignment, as `quality` counts them."""
    rows = [
        (0.02 * step, 100 * math.exp(-((step - 9) ** 2) / 8), 100 * math.exp(-((step - 12) ** 2) / 6))
        for step in range(-1, 18)
    ]
    sums = [sum(column) / 100 for column in zip(*rows, strict=True)][1:]
    lines = ["cosine,before,after", *(f"{low:.2f},{a / sums[0]:.6f},{b / sums[1]:.6f}" for low, a, b in rows)]
    plots.mkdir(parents=True, exist_ok=True)
    (plots / "alignment.csv").write_text("\n".join(lines) + "\n")


def write_answers(data: Path, *, blank: bool) -> None:
    """TextVQA with pictures in files, MMBench with pictures in its table, GQA with scores alone."""
    textvqa, mmbench = data / "benchmarks/textvqa", data / "benchmarks/mmbench"
    questions, scores, table = [], {"textvqa": [], "mmbench": [], "gqa": []}, ["index\tquestion\tA\tB\tanswer\timage"]
    for i in range(12):
        draw(textvqa / f"train_images/t{i}.jpg", i)
        question = "What does the sign say?" if i else HOSTILE
        answers = ["sign"] * 7 + ["stop", "a sign", HOSTILE]
        questions.append({"question": question, "image_id": f"t{i}", "question_id": i, "answers": answers})
        row = {
            "key": str(i),
            "image": f"t{i}",
            "score": float(i % 2),
            "prediction": "sign" if i % 2 else HOSTILE,
            "answers": answers,
            "question": question,
        }
        extra = {"blank_score": 0.0, "blank_prediction": "stop"} if blank else {}
        scores["textvqa"].append(row | extra)
        picture = base64.b64encode((textvqa / f"train_images/t{i}.jpg").read_bytes()).decode()
        table.append(f"{i}\tWhich colour is the sign?\tcrimson\tteal\tA\t{picture}")
        options = {"A": "crimson", "B": "teal"}
        scores["mmbench"].append(
            {
                **row,
                **extra,
                "question": "Which colour is the sign?",
                "answers": ["A"],
                "prediction": "AB"[i % 2],
                "options": options,
            }
        )
        scores["gqa"].append(row | {"answers": ["yes"], "prediction": "yes", "question": "Is there a sign?"})
    write_json(textvqa / "TextVQA_0.5.1_val.json", {"data": questions})
    mmbench.mkdir()
    (mmbench / "mmbench_dev.tsv").write_text("\n".join(table) + "\n")
    for name, rows in scores.items():
        write_jsonl(data / f"scores/{name}.jsonl", rows)


def write_timings(timings: Path) -> None:
    hardware = {"machine": "x86_64", "processor": "AMD EPYC 7B13", "cpus": 2}
    software = {"versions": {"python": "3.11.2", "py-data-juicer": "1.5.3"}, "threads": 3}
    stages = {
        "prepare": 21,
        "caption": 95,
        "process": 18,
        "pretrain": 244,
        "finetune": 251,
        "merge": 9,
        "answer@textvqa": 31,
        "score@textvqa": 1,
    }
    for stage, seconds in stages.items():
        counts = {"items": 2400, "items_per_second": 2400 / seconds, "device": "cpu"} if stage != "merge" else {}
        if stage == "pretrain":
            counts["seconds_this_process"] = 120
        write_json(
            timings / f"{stage}.json",
            {"stage": stage, "seconds": seconds, **counts, "hardware": hardware, "software": software},
        )


def write_run(folder: Path, recipe: str = "blip2", *, blank: bool = True) -> RunFiles:
    data = folder / "data"
    write_corpus(data, recipe)
    write_numbers(folder, recipe, blank=blank)
    write_curves(folder / "plots")
    write_spread(folder / "plots/quality")
    write_answers(data, blank=blank)
    write_timings(data / "timings")
    params = (ROOT / "params.yaml").read_text().replace("recipe: blip2", f"recipe: {recipe}", 1)
    (folder / "params.yaml").write_text(params)
    return run_files(folder)


def run_files(folder: Path) -> RunFiles:
    data = folder / "data"
    return RunFiles(
        metrics=folder / "metrics",
        details=data / "details",
        plots=folder / "plots",
        corpus=data / "corpus",
        raw_captions=data / "raw_captions.jsonl",
        captions=data / "captions.jsonl",
        processed=data / "processed",
        scores=data / "scores",
        benchmarks=data / "benchmarks",
        timings=data / "timings",
        params=folder / "params.yaml",
    )
