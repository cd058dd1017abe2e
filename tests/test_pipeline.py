"""The pipeline, read as data: what a stage imports, reads and writes is what dvc.yaml says of it.

DVC does not follow Python imports, so a code dependency that is forgotten makes a stage look up to date when it
is not. Each rule is tried on the real dvc.yaml, and on a copy that breaks it.
"""

import ast
import copy
import re
import shlex
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from dvc.utils.hydra import apply_overrides

from recap.params import MACHINE, AnswerParams, MachineParams, Params, load_all, read_yaml

ROOT = Path(__file__).parent.parent
Stages = dict[str, dict[str, Any]]

# Sections that a stage reads to refuse what would stop a later one; they change nothing that it writes.
ONLY_REFUSES = {("prepare", "models")}

# Modules that no stage declares, because none of them can change a result: a better error message re-runs nothing.
# Every other module that a stage reaches has to be under one of its dependencies.
INFRASTRUCTURE = {
    "src/recap/params.py",  # the schema: it refuses a parameter file, and otherwise hands on what stands in it
    "src/recap/io.py",  # atomic writing, error messages; its docstring says what to do when rounding changes
    "src/recap/runtime/errors.py",  # the exception that a user reads
    "src/recap/runtime/display.py",  # spells out control characters where people read; results keep them
    "src/recap/runtime/faults.py",  # what a row that is left out is written down as; others say which, and why
    "src/recap/runtime/remote_code.py",  # what is said where a model is refused for its code
    "src/recap/runtime/stage.py",  # logging, and how a stage ends
    "src/recap/runtime/holding.py",  # keeps two runs apart
    "src/recap/runtime/parentage.py",  # ends a process with its parent
    "src/recap/runtime/pickles.py",  # refuses weights that hold code
    "src/recap/runtime/prefetch.py",  # loads ahead, in order
    "src/recap/runtime/ranks.py",  # deals work out to processes; the number of those that train is in the fingerprint
    "src/recap/runtime/store.py",  # hands back what was put under the same settings
    "src/recap/runtime/contents.py",  # the digest of a model's folder, which is a dependency
    "src/recap/runtime/scratch.py",  # finds unfinished work again; a resumed run ends with the same bytes
    "src/recap/runtime/timing.py",  # durations, which differ from run to run anyway
    "src/recap/runtime/versions.py",  # looks up what is installed
}


def resolved_stages(pipeline: dict[str, Any], params: dict[str, Any]) -> Stages:
    """The stages with `foreach` unrolled and `${...}` filled in, except what is of the section `machine`."""
    stages = {}
    for name, stage in pipeline["stages"].items():
        if "foreach" not in stage:
            stages[name] = _filled(stage, params)
            continue
        for key, item in _items(stage["foreach"], params):
            stages[f"{name}@{key}"] = _filled(stage["do"], {**params, "key": key, "item": item})
    return stages


def _items(foreach: Any, params: dict[str, Any]) -> list[tuple[str, Any]]:
    """Key and item of every turn, as DVC takes them: from a mapping, a list, or a parameter `${...}` that is one."""
    if isinstance(foreach, str):
        foreach = _lookup(foreach.removeprefix("${").removesuffix("}"), params)
    return list(foreach.items()) if isinstance(foreach, dict) else [(str(item), item) for item in foreach]


def _filled(value: Any, context: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {_filled(key, context): _filled(item, context) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, context) for item in value]
    if isinstance(value, str):
        return re.sub(rf"\$\{{(?!{MACHINE}\b)([\w.]+)\}}", lambda match: str(_lookup(match[1], context)), value)
    return value


def _lookup(dotted: str, context: dict[str, Any]) -> Any:
    value: Any = context
    for part in dotted.split("."):
        value = value[part]
    return value


def paths(entries: list[Any]) -> list[str]:
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries or []]


def outputs(stage: dict[str, Any]) -> list[str]:
    return [path for kind in ("outs", "metrics", "plots") for path in paths(stage.get(kind, []))]


@cache
def imported_modules(file: Path, *, for_types: bool = False) -> tuple[str, ...]:
    """Every recap module that a file imports, wherever in the file; with `for_types` also those for annotations."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return tuple(_imports(tree if for_types else WithoutTypeChecking().visit(tree)))


class WithoutTypeChecking(ast.NodeTransformer):
    """Takes out `if TYPE_CHECKING:`, which never runs."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("recap"):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("recap"))


def module_file(module: str) -> Path | None:
    """The source file of a module; None for a name inside a module, or an empty package."""
    path = ROOT / "src" / Path(*module.split("."))
    return path.with_suffix(".py") if path.with_suffix(".py").is_file() else None


def reached_files(script: Path) -> set[Path]:
    reached: set[Path] = set()
    todo = [script]
    while todo:
        for module in imported_modules(todo.pop()):
            file = module_file(module)
            if file and file not in reached:
                reached.add(file)
                todo.append(file)
    return reached


def script_of(stage: dict[str, Any]) -> str:
    return next(word for word in shlex.split(stage["cmd"]) if word.endswith(".py"))


def read_sections(script: Path) -> set[str]:
    """The parameter sections that a stage script asks for: the string constants that name one."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    calls = any(isinstance(node, ast.Name) and node.id == "load_params" for node in ast.walk(tree))
    return strings & set(Params.model_fields) if calls else set()


def missing_code_dependencies(stages: Stages) -> list[str]:
    problems = []
    for name, stage in stages.items():
        deps = [ROOT / path for path in paths(stage["deps"])]
        files = {ROOT / script_of(stage)} | reached_files(ROOT / script_of(stage))
        problems += [
            f"{name}: {file.relative_to(ROOT)} is imported but under no dependency"
            for file in sorted(files)
            if str(file.relative_to(ROOT)) not in INFRASTRUCTURE
            and not any(file == dep or dep in file.parents for dep in deps)
        ]
    return problems


def infrastructure_dependencies(stages: Stages) -> list[str]:
    """Dependencies that a module of the infrastructure is under: touching it would make the stage stale."""
    return [
        f"{name}: depends on {dep}, and so on {module}, which changes no result"
        for name, stage in stages.items()
        for dep in paths(stage["deps"])
        for module in sorted(INFRASTRUCTURE)
        if Path(dep) == Path(module) or Path(dep) in Path(module).parents
    ]


def idle_code_dependencies(stages: Stages) -> list[str]:
    problems = []
    for name, stage in stages.items():
        files = reached_files(ROOT / script_of(stage))
        for dep in paths(stage["deps"]):
            folder = ROOT / dep
            if (
                dep.startswith("src/")
                and "/templates/" not in dep
                and not any(file == folder or folder in file.parents for file in files)
            ):
                problems.append(f"{name}: depends on {dep} but imports nothing of it")
    return problems


def undeclared_paths(stages: Stages) -> list[str]:
    problems = []
    for name, stage in stages.items():
        declared = [Path(path) for path in [*paths(stage["deps"]), *outputs(stage)]]
        for word in shlex.split(stage["cmd"]):
            path = Path(word)
            if "/" in word and not any(path == d or d in path.parents or path in d.parents for d in declared):
                problems.append(f"{name}: {word} is in the command but neither a dependency nor an output")
    return problems


def paths_without_flag(stages: Stages) -> list[str]:
    problems = []
    for name, stage in stages.items():
        words = [Path(word) for word in shlex.split(stage["cmd"]) if "/" in word]
        for output in outputs(stage):
            path = Path(output)
            if not any(path == word or word in path.parents for word in words):
                problems.append(f"{name}: output {output} is not on the command line")
    return problems


def undeclared_params(stages: Stages) -> list[str]:
    problems = []
    for name, stage in stages.items():
        declared = {entry.split(".")[0] for entry in stage.get("params", [])}
        read = read_sections(ROOT / script_of(stage)) - {MACHINE}
        undeclared = {section for section in read - declared if (name, section) not in ONLY_REFUSES}
        problems += [f"{name}: reads {section} but does not declare it" for section in sorted(undeclared)]
        problems += [f"{name}: {section} is no parameter" for section in sorted(declared - set(Params.model_fields))]
    return problems


def machine_in_the_pipeline(stages: Stages) -> list[str]:
    problems = []
    for name, stage in stages.items():
        declared = [entry for entry in stage.get("params", []) if entry.split(".")[0] == MACHINE]
        problems += [f"{name}: declares {entry}, so that another machine runs it again" for entry in declared]
        if f"${{{MACHINE}" in str(stage):
            problems.append(f"{name}: interpolates {MACHINE}, so that another machine runs it again")
    return problems


def bad_outputs(stages: Stages) -> list[str]:
    problems = []
    for name, stage in stages.items():
        for kind in ("outs", "metrics", "plots"):
            for entry in stage.get(kind, []):
                options = next(iter(entry.values())) if isinstance(entry, dict) else {}
                path = paths([entry])[0]
                if options.get("persist"):
                    problems.append(f"{name}: {path} persists, which switches the run-cache off")
                if kind == "outs" and options.get("cache") is False:
                    problems.append(f"{name}: {path} is uncached under outs, which switches the run-cache off")
                if kind != "outs" and options.get("cache") is not False:
                    problems.append(f"{name}: {kind} {path} belong in Git: cache: false")
    return problems


def missing_descriptions(stages: Stages) -> list[str]:
    return [f"{name}: no desc" for name, stage in stages.items() if not stage.get("desc")]


@pytest.fixture(scope="module")
def stages() -> Stages:
    return resolved_stages(read_yaml(ROOT / "dvc.yaml"), read_yaml(ROOT / "params.yaml"))


def _without_dependency(stages: Stages) -> None:
    stages["pretrain"]["deps"].remove("src/recap/training")


def _without_seeding(stages: Stages) -> None:
    stages["caption"]["deps"].remove("src/recap/runtime/seeding.py")


def _with_infrastructure(stages: Stages) -> None:
    stages["quality"]["deps"].append("src/recap/io.py")


def _with_the_folder_of_infrastructure(stages: Stages) -> None:
    stages["pretrain"]["deps"].append("src/recap/runtime")


def _with_idle_dependency(stages: Stages) -> None:
    stages["quality"]["deps"].append("src/recap/training")


def _with_path_nobody_declares(stages: Stages) -> None:
    stages["quality"]["cmd"] += " --extra data/secret.jsonl"


def _with_hidden_output(stages: Stages) -> None:
    stages["quality"]["outs"].append("data/hidden.jsonl")


def _without_params(stages: Stages) -> None:
    stages["finetune"]["params"].remove("lora")


def _with_declared_machine(stages: Stages) -> None:
    stages["answer@gqa"]["params"].append("machine.answer_batch_size")


def _with_interpolated_machine(stages: Stages) -> None:
    command = {"cmd": "python stages/caption.py --batch-size ${machine.caption_batch_size}"}
    stages["caption"]["cmd"] = resolved_stages({"stages": {"caption": command}}, {})["caption"]["cmd"]


def _with_persistent_output(stages: Stages) -> None:
    stages["caption"]["outs"][0] = {"data/candidates.jsonl": {"persist": True}}


def _with_uncached_output(stages: Stages) -> None:
    stages["quality"]["outs"].append({"plots/quality": {"cache": False}})


def _with_cached_plots(stages: Stages) -> None:
    stages["quality"]["plots"] = ["plots/quality"]


def _without_description(stages: Stages) -> None:
    del stages["merge"]["desc"]


RULES: dict[Callable[[Stages], list[str]], list[Callable[[Stages], None]]] = {
    missing_code_dependencies: [_without_dependency, _without_seeding],
    infrastructure_dependencies: [_with_infrastructure, _with_the_folder_of_infrastructure],
    idle_code_dependencies: [_with_idle_dependency],
    undeclared_paths: [_with_path_nobody_declares],
    paths_without_flag: [_with_hidden_output],
    undeclared_params: [_without_params],
    machine_in_the_pipeline: [_with_declared_machine, _with_interpolated_machine],
    bad_outputs: [_with_persistent_output, _with_uncached_output, _with_cached_plots],
    missing_descriptions: [_without_description],
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_pipeline_keeps_the_rule(rule: Callable[[Stages], list[str]], stages: Stages) -> None:
    assert rule(stages) == []


@pytest.mark.parametrize(
    ("rule", "fault"),
    [(rule, fault) for rule, faults in RULES.items() for fault in faults],
    ids=lambda item: item.__name__,
)
def test_the_rule_notices_its_fault(
    rule: Callable[[Stages], list[str]], fault: Callable[[Stages], None], stages: Stages
) -> None:
    broken = copy.deepcopy(stages)
    fault(broken)
    assert set(rule(broken)) - set(rule(stages))


def test_every_module_of_the_infrastructure_is_reached(stages: Stages) -> None:
    reached = {
        str(file.relative_to(ROOT)) for stage in stages.values() for file in reached_files(ROOT / script_of(stage))
    }
    assert not INFRASTRUCTURE - reached


def test_dvc_ignores_the_code_that_no_stage_imports(stages: Stages) -> None:
    """Below a folder that stages depend on it would make them stale, though it changes nothing of theirs."""
    folders = {ROOT / dep for stage in stages.values() for dep in paths(stage["deps"]) if dep.startswith("src/")}
    below = {file for folder in folders for file in folder.rglob("*.py") if file.stat().st_size}
    reached = {file for stage in stages.values() for file in reached_files(ROOT / script_of(stage))}
    ignored = Repo(str(ROOT)).dvcignore
    assert {file for file in below if ignored.is_ignored_file(str(file))} == below - reached


def test_every_parameter_section_is_some_stages(stages: Stages) -> None:
    declared = {
        entry.split(".")[0] for name, stage in stages.items() if name != "report" for entry in stage.get("params", [])
    }
    # The recipe travels in process's command and dependency, models in commands and dependencies, the benchmarks in the
    # names of answer and score; the machine's section changes nothing.
    assert declared | {"recipe", "models", "benchmarks", MACHINE} == set(Params.model_fields)


def test_every_value_of_the_machine_is_read() -> None:
    """By a stage, by what starts it, or by what rehearses it; a training stage reads the micro-batch of its name."""
    schema = ROOT / "src" / "recap" / "params.py"
    files = {*(ROOT / "stages").glob("*.py"), *(ROOT / "src").rglob("*.py")} - {schema}
    code = "".join(file.read_text(encoding="utf-8") for file in files)
    by_stage = {f"{stage}_micro_batch_size" for stage in ("pretrain", "finetune")}
    assert 'f"{stage}_micro_batch_size"' in code
    assert [name for name in MachineParams.model_fields if f".{name}" not in code and name not in by_stage] == []


def test_stages_for_several_processes_are_started_by_the_launcher_whatever_it_is(stages: Stages) -> None:
    for name in ("caption", "pretrain", "finetune"):
        assert stages[name]["cmd"].startswith(f"python -m recap.launch stages/{name}.py ")
        assert not any("deepspeed" in path for path in paths(stages[name]["deps"]))


def test_a_training_seed_captions_nothing(stages: Stages) -> None:
    """Captions are made once, whatever the number of seeds; a recipe's operators that draw, draw anew for each."""
    declaring = {name for name, stage in stages.items() if "seed" in stage.get("params", [])}
    assert declaring == {"process", "pretrain", "finetune", "merge", "report"}


def test_another_start_makes_training_and_merge_stale(stages: Stages) -> None:
    start = load_all(ROOT / "params.yaml").models.start.path
    assert {name for name, stage in stages.items() if start in paths(stage["deps"])} == {
        "check",
        "pretrain",
        "finetune",
        "merge",
    }


def test_answers_depend_on_the_parameters_that_change_them(stages: Stages) -> None:
    names = {f"answer.{name}" for name in AnswerParams.model_fields}
    for benchmark in load_all(ROOT / "params.yaml").benchmarks:
        assert set(stages[f"answer@{benchmark}"]["params"]) <= names | {"device.device", "device.dtype"}
        assert not {"answer", "answer.max_new_tokens", "device"} & set(stages[f"score@{benchmark}"]["params"])


def test_every_chosen_benchmark_is_answered_and_scored(stages: Stages) -> None:
    for verb in ("answer", "score"):
        chosen = load_all(ROOT / "params.yaml").benchmarks
        assert [name for name in stages if name.startswith(verb)] == [f"{verb}@{b}" for b in chosen]


def test_a_benchmark_is_added_in_the_parameters_alone() -> None:
    params = read_yaml(ROOT / "params.yaml") | {"benchmarks": {"textvqa_ocr": "textvqa"}}
    stages = resolved_stages(read_yaml(ROOT / "dvc.yaml"), params)
    for rule in RULES:
        assert rule(stages) == []
    assert "answer@textvqa" not in stages
    assert "data/benchmarks/textvqa" in paths(stages["answer@textvqa_ocr"]["deps"])
    assert outputs(stages["score@textvqa_ocr"])[0] == "data/scores/textvqa_ocr.jsonl"
    assert "textvqa" not in (ROOT / "dvc.yaml").read_text(encoding="utf-8")


def test_work_is_called_like_its_stage(stages: Stages) -> None:
    for name, stage in stages.items():
        if name != "report":
            assert f"data/timings/{name}.json" in outputs(stage)


def test_the_report_depends_on_its_templates_and_on_no_other_page(stages: Stages) -> None:
    """A template is no import, so no rule above sees it."""
    folder = ROOT / "src" / "recap" / "reporting" / "templates"
    used, todo = set(), ["report.html"]
    while todo:
        used.add(name := todo.pop())
        text = (folder / name).read_text(encoding="utf-8")
        todo += set(re.findall(r"""(?:extends|import|include|from|source\() *["']([\w.]+)["']""", text)) - used
    declared = {Path(path).name for path in paths(stages["report"]["deps"]) if "/templates/" in path}
    assert declared == used
    assert not any(path.startswith("src/recap/reporting/comparison") for path in paths(stages["report"]["deps"]))


def test_captioning_knows_nothing_of_the_recipe(stages: Stages) -> None:
    caption = stages["caption"]
    assert "recipe" not in caption["cmd"] and "recipe" not in caption["params"]
    assert not any("recipes/" in path for path in paths(caption["deps"]))


def test_a_change_of_scoring_reruns_no_inference(stages: Stages) -> None:
    scoring = ROOT / "src" / "recap" / "evaluation" / "scoring" / "accuracy.py"
    assert not depends_on("answer@vqav2", scoring, stages) and depends_on("score@vqav2", scoring, stages)


def test_a_change_of_the_merge_trains_nothing_and_one_of_publishing_answers_nothing(stages: Stages) -> None:
    merge, publish = (ROOT / "src" / "recap" / name for name in ("merging/merge.py", "models/mgm/publish.py"))
    assert depends_on("merge", merge, stages) and depends_on("merge", publish, stages)
    assert not any(depends_on(stage, merge, stages) for stage in ("pretrain", "finetune"))
    assert not depends_on("answer@gqa", publish, stages)


def test_a_change_of_the_world_or_of_what_users_bring_reruns_no_inference(stages: Stages) -> None:
    for file in ("world/lexicon.py", "data/sources/user_mmbench.py"):
        assert depends_on("prepare", ROOT / "src/recap" / file, stages)
        assert not depends_on("answer@mmbench", ROOT / "src/recap" / file, stages)


def depends_on(stage: str, file: Path, stages: Stages) -> bool:
    assert file.is_file()
    deps = [ROOT / path for path in paths(stages[stage]["deps"])]
    return any(dep == file or dep in file.parents for dep in deps)


def test_layers_import_downwards_only() -> None:
    ranks = {"runtime": 0, "io": 1, "params": 1, "world": 2, "data": 3, "models": 4, "captioning": 5, "training": 5}
    ranks |= {"alignment": 5, "evaluation": 5, "merging": 6, "comparison": 6, "reporting": 7, "foundry": 7}
    ranks |= {"rehearsal": 7, "experiments": 8, "launch": 8, "__main__": 9}
    layers = {path.name.removesuffix(".py") for path in (ROOT / "src" / "recap").iterdir()} - {"__pycache__"}
    assert layers - {"__init__", "py.typed"} == set(ranks), "a layer that has no rank is not looked at"
    problems = []
    for file in sorted((ROOT / "src" / "recap").rglob("*.py")):
        layer = file.relative_to(ROOT / "src" / "recap").parts[0].removesuffix(".py")
        for module in imported_modules(file, for_types=True):
            target = [*module.split("."), layer][1]
            same_height = target != layer and ranks.get(target) == ranks.get(layer) == 5
            if target in ranks and layer in ranks and (ranks[target] > ranks[layer] or same_height):
                problems.append(f"{file.name}: {layer} imports {module}")
    # Timing writes its file through recap.io: the one step sideways within the base.
    assert [p for p in problems if not p.startswith("timing.py")] == []


def test_formats_are_read_without_knowing_what_becomes_of_them() -> None:
    for file in (ROOT / "src/recap/data/formats").rglob("*.py"):
        assert not [name for name in imported_modules(file, for_types=True) if name.startswith("recap.data.sources")]


def test_package_files_are_empty() -> None:
    """A re-export would make whole packages depend on one another."""
    assert [str(file) for file in (ROOT / "src").rglob("__init__.py") if file.read_text(encoding="utf-8").strip()] == []


def test_nothing_imports_a_stage() -> None:
    for file in (ROOT / "src").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) stages\b", file.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("profile", sorted((ROOT / "profiles").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_profile_is_complete_and_valid(profile: Path) -> None:
    load_all(profile)
    assert list(read_yaml(profile)) == list(read_yaml(ROOT / "params.yaml"))


@pytest.mark.parametrize(
    "path", [ROOT / "params.yaml", *sorted((ROOT / "profiles").glob("*.yaml"))], ids=lambda p: p.stem
)
def test_an_experiment_leaves_the_parameter_file_as_it_was_written(path: Path, tmp_path: Path) -> None:
    """`dvc exp run -S` writes the file anew; only the value that it sets may change, neither layout nor comments."""
    copied = tmp_path / "params.yaml"
    copied.write_bytes(path.read_bytes())
    apply_overrides(copied, ["lora.r=8"])
    old = path.read_text(encoding="utf-8")
    assert copied.read_text(encoding="utf-8") == old.replace("\n  r: 16 ", "\n  r: 8  ")


def test_every_recipe_is_a_data_juicer_recipe() -> None:
    for recipe in (ROOT / "recipes").glob("*.yaml"):
        assert "process" in read_yaml(recipe), recipe
