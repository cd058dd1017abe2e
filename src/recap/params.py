"""The parameters of a run: the one reader of params.yaml, and the schema that every value is checked against.

`params.yaml` explains each value; this file states its type and range. The whole file is checked whichever
section a stage asks for, so that a mistake in a late stage's section stops the first stage. Parsing
follows YAML 1.2, as DVC does (`1e-4` is a number; PyYAML would call it a string).
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.scanner import Scanner, ScannerError

from recap.runtime.errors import UserError, one_line

PARAMS_PATH = Path("params.yaml")
# The section that only says how the work is spread. It changes no result: stages do not declare it.
MACHINE = "machine"

# A few aliases of aliases can stand for more values than memory holds.
MOST_VALUES = 100_000
DEEPEST = 100
# Characters that a message quotes of one problem.
SHOWN = 300

Percent = Annotated[float, Field(ge=0, le=100)]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
DType = Literal["auto", "float32", "bfloat16", "float16"]


def _auto_or_positive(value: Any) -> Any:
    # A union would tell of each of its members that the value is none.
    if value != "auto" and (type(value) is not int or value <= 0):
        raise ValueError(f"input should be 'auto' or an integer greater than 0, found {value!r}")
    return value


def _fit_for_commands(path: str) -> str:
    if not path.strip():
        raise ValueError(f"expected a path, found {path!r}")
    # dvc.yaml puts paths into commands between double quotes, where blanks and apostrophes are themselves, these not.
    if found := [character for character in '"$`\\\n' if character in path]:
        raise ValueError(
            f"a path cannot hold {' or '.join(map(repr, found))}, found {path!r}; link or rename the folder"
        )
    return path


FolderPath = Annotated[str, AfterValidator(_fit_for_commands)]
AutoOrPositiveInt = Annotated[Literal["auto"] | int, BeforeValidator(_auto_or_positive)]


class Section(BaseModel):
    """Base of every section: unknown and missing keys are errors, and so is a number given as text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ColumnsParams(Section):
    id: str | None
    caption: str | None
    image: str | None


class DataParams(Section):
    source: FolderPath
    format: Literal[
        "auto", "json", "csv", "parquet", "webdataset", "image_folder", "image_table", "saved_dataset", "coco"
    ]
    columns: ColumnsParams
    links: Literal["inside", "anywhere"]
    images: Literal["copy", "reference"]
    max_rejected: Percent


class ModelSource(Section):
    path: FolderPath
    hub: str | None
    revision: str | None

    @model_validator(mode="after")
    def _hub_models_are_pinned(self) -> "ModelSource":
        if self.hub and not self.revision:
            raise ValueError(f"hub model {self.hub!r} needs a revision, so that the run can be repeated")
        return self


class ModelsParams(Section):
    captioner: ModelSource
    aligner: ModelSource
    language_model: ModelSource
    vision_tower: ModelSource
    vision_tower_aux: ModelSource
    start: ModelSource


class DeviceParams(Section):
    device: str
    dtype: DType
    trust_remote_code: bool


class MachineParams(Section):
    """How the work is spread. No value is meant to change a result, so no stage declares one."""

    memory_gb: PositiveFloat
    launcher: Literal["plain", "torchrun", "deepspeed"]
    processes: AutoOrPositiveInt
    deepspeed: str | None
    gradient_checkpointing: bool
    pretrain_micro_batch_size: PositiveInt
    finetune_micro_batch_size: PositiveInt
    store: FolderPath
    caption_batch_size: AutoOrPositiveInt
    caption_threads: AutoOrPositiveInt
    align_batch_size: PositiveInt
    answer_batch_size: PositiveInt
    process_workers: PositiveInt
    dataloader_workers: Annotated[int, Field(ge=0)]


class MGMParams(Section):
    image_size_aux: PositiveInt
    image_grid: PositiveInt
    image_global: bool
    max_length: PositiveInt

    @model_validator(mode="after")
    def _global_view_needs_a_grid(self) -> "MGMParams":
        if self.image_global and self.image_grid == 1:
            raise ValueError(f"image_global is true, so image_grid must exceed 1, found {self.image_grid}")
        return self


class CaptionParams(Section):
    prompts: Annotated[list[str], Field(min_length=1)]
    candidates: PositiveInt
    min_new_tokens: Annotated[int, Field(ge=0)]
    max_new_tokens: PositiveInt
    num_beams: PositiveInt
    do_sample: bool
    temperature: PositiveFloat
    top_p: Annotated[float, Field(gt=0, le=1)]
    repetition_penalty: PositiveFloat
    quantization: Literal["none", "8bit", "4bit"]
    redraws: Annotated[int, Field(ge=0)]
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] | None
    seed: Annotated[int, Field(ge=0)]
    max_failed: Percent

    @model_validator(mode="after")
    def _decoding_is_possible(self) -> "CaptionParams":
        if self.do_sample and self.num_beams > 1:
            raise ValueError(f"do_sample is true, so num_beams must be 1, found {self.num_beams}")
        if not self.do_sample and self.candidates > self.num_beams:
            raise ValueError(
                f"candidates is {self.candidates}, so do_sample must be true or num_beams at least that, "
                f"found {self.num_beams}"
            )
        if self.min_new_tokens > self.max_new_tokens:
            raise ValueError(
                f"max_new_tokens is {self.max_new_tokens}, so min_new_tokens must be at most that, found "
                f"{self.min_new_tokens}"
            )
        return self


class AlignParams(Section):
    choose: Literal["alignment", "itm", "novelty", "first"]


class QualityParams(Section):
    subsamples: Annotated[int, Field(ge=2)]
    sample_rows: PositiveInt
    sample_tokens: PositiveInt
    self_bleu_sample: PositiveInt
    mattr_window: PositiveInt
    hdd_sample: PositiveInt
    seed: Annotated[int, Field(ge=0)]


class TrainingParams(Section):
    """What both training stages have."""

    max_steps: PositiveInt
    global_batch_size: PositiveInt
    learning_rate: PositiveFloat
    lr_scheduler_type: Literal["cosine", "linear", "constant", "constant_with_warmup"]
    warmup_ratio: Share
    weight_decay: Annotated[float, Field(ge=0)]
    max_grad_norm: Annotated[float, Field(ge=0)]
    image_aspect_ratio: Literal["pad", "square"]
    drop_path: Annotated[float, Field(ge=0, lt=1)]
    loss_normalisation: Literal["tokens", "micro_batch"]
    group_by_modality_length: bool
    max_left_out: Percent
    save_steps: PositiveInt


class FinetuneParams(TrainingParams):
    """LoRA's rate is `learning_rate`."""

    connector_learning_rate: PositiveFloat
    caption_share: Annotated[float, Field(ge=0, lt=1)]
    val_rows: Annotated[int, Field(ge=0)]
    val_steps: PositiveInt


class LoraParams(Section):
    r: PositiveInt
    alpha: PositiveInt
    dropout: Annotated[float, Field(ge=0, lt=1)]
    target_modules: Annotated[list[str], Field(min_length=1)]


class MergeParams(Section):
    tolerance: PositiveFloat
    probes: PositiveInt


class AnswerParams(Section):
    image_aspect_ratio: Literal["pad", "square"]
    blank_images: bool
    max_new_tokens: PositiveInt


class ScoreParams(Section):
    max_unanswered: Percent


class Params(Section):
    """All of params.yaml."""

    recipe: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    seed: Annotated[int, Field(ge=0)]
    data: DataParams
    models: ModelsParams
    device: DeviceParams
    machine: MachineParams
    mgm: MGMParams
    caption: CaptionParams
    align: AlignParams
    quality: QualityParams
    pretrain: TrainingParams
    finetune: FinetuneParams
    lora: LoraParams
    merge: MergeParams
    benchmarks: Annotated[dict[Name, Name], Field(min_length=1)]
    answer: AnswerParams
    score: ScoreParams


def read_yaml(path: str | Path) -> Any:
    """Parse a YAML 1.2 file.

    Raises:
        UserError: The file is missing or is not YAML; or its aliases unfold into more than anybody means.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner = _ShallowScanner
    try:
        value = yaml.load(Path(path).read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: expected a YAML file, found nothing") from None
    except OSError as error:
        raise UserError(f"{path}: expected a YAML file, found what cannot be read: {error.strerror}") from None
    except YAMLError as error:
        raise UserError(f"{path}: {one_line(error, 500)}") from None
    except RecursionError:
        raise UserError(f"{path}: expected YAML, found values within values too deep to read") from None
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        # Of a value that is no date, number or text, though it is written or tagged as one.
        raise UserError(f"{path}: expected YAML, found {type(error).__name__}: {one_line(error, 300)}") from None
    if _unfolded(value, {}) > MOST_VALUES:
        raise UserError(
            f"{path}: expected at most {MOST_VALUES} values, found more, or one that holds itself; "
            "write out what aliases (*name) repeat"
        )
    return value


class _ShallowScanner(Scanner):
    """Refuses brackets within brackets at once: the time that scanning takes grows with the square of their depth."""

    def fetch_flow_collection_start(self, TokenClass: Any, to_push: str) -> None:
        if len(self.flow_context) >= DEEPEST:
            raise ScannerError(None, None, f"more than {DEEPEST} brackets within brackets", self.reader.get_mark())
        super().fetch_flow_collection_start(TokenClass, to_push)


def _unfolded(value: Any, seen: dict[int, int]) -> int:
    """How many values there are once aliases are written out; `seen` has those of lists and mappings by their id."""
    if not isinstance(value, dict | list | set | tuple):
        return 1
    if id(value) not in seen:
        seen[id(value)] = MOST_VALUES + 1  # of what holds itself
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        seen[id(value)] = 1 + sum(_unfolded(part, seen) for part in parts)
    return seen[id(value)]


def validate(model: type[Section], value: Any, path: str | Path) -> Any:
    """Check `value` against a schema.

    Raises:
        UserError: Something is unknown, missing, ill-typed or out of range; one line lists every problem.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = [one_line(_describe(problem), SHOWN) for problem in error.errors()]
        raise UserError(f"{path}: {len(problems)} problem(s): {'; '.join(problems)}") from None


def _describe(problem: Any) -> str:
    name = ".".join(map(str, problem["loc"])) or "(top level)"
    match problem["type"]:
        case "extra_forbidden":
            return f"{name}: no such parameter"
        case "missing":
            return f"{name}: missing"
    message = problem["msg"].removeprefix("Value error, ")
    found = "" if problem["type"] == "value_error" else f", found {problem['input']!r}"
    return f"{name}: {message[0].lower()}{message[1:]}{found}"


def load_all(path: str | Path = PARAMS_PATH) -> Params:
    """Read and check a whole parameter file."""
    params: Params = validate(Params, read_yaml(path), path)
    return params


def load_params(section: str, path: str | Path = PARAMS_PATH) -> Any:
    """One section of a parameter file, after the whole file has been checked.

    Args:
        section: A top-level key of params.yaml: "lora" gives a `LoraParams`, "seed" an int.
        path: The file.

    Raises:
        UserError: The file has any problem, in whatever section.
    """
    params = load_all(path)
    if section not in Params.model_fields:
        raise UserError(f"{path}: expected a section among {', '.join(Params.model_fields)}, asked for {section!r}")
    return getattr(params, section)
