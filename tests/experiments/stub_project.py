"""A project of two stages that take no time: what `make` and `make seeds` do with experiments can be tried on it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.unprivileged import obey_file_modes

ROOT = Path(__file__).parent.parent.parent

PIPELINE = """\
stages:
  process:
    cmd: cp code/model.py rows
    deps: [code, 'recipes/${recipe}.yaml']
    params: [recipe]
    outs: [rows]
  train:
    cmd: sh train.sh ${recipe} ${seed}
    deps: [train.sh, code, rows, 'recipes/${recipe}.yaml']
    params: [recipe, seed, lora]
    outs: [models/merged, data/report/index.html, data/timings/train.json]
    metrics: [metrics/pretrain.json: {cache: false}]
    plots: [plots/pretrain: {cache: false}]
"""
# The file `broken` holds the recipe and the seed at which training fails; `ran` counts what was trained.
TRAIN = r"""set -e
echo "$1 $2" >> ran
mkdir -p models/merged data/report data/timings metrics plots/pretrain
touch "plots/pretrain/$1-$2.tsv"
echo "{\"pretrain\": {\"loss_final\": $2.$(cat code/model.py)}}" > metrics/pretrain.json
test "$1 $2" != "$(cat broken 2> /dev/null)"
while test -e wait; do sleep 0.05; done
cat code/model.py params.yaml > models/merged/weights
echo "<!doctype html> $1 $2" | cat - code/model.py > data/report/index.html
echo '{"seconds": 90}' > data/timings/train.json
"""
HEADLINE = ("python", "-m", "recap.experiments.headline", "baseline", "blip2")


class Project:
    """A Git and DVC repository in `root`, which belongs to a user without a Git identity."""

    def __init__(self, root: Path) -> None:
        self.root = root
        # No identity, and nobody's configuration.
        self.env = {
            "HOME": str(root.parent),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "src"),
            "LANG": "C.UTF-8",
        }

    @classmethod
    def create(cls, folder: Path) -> "Project":
        project = cls(folder / "project")
        shutil.copytree(ROOT / "recipes", project.root / "recipes")
        shutil.copy(ROOT / "params.yaml", project.root)
        (project.root / ".dvc").mkdir()
        for name in ("config", ".gitignore"):
            shutil.copy(ROOT / ".dvc" / name, project.root / ".dvc")
        project.write("code/model.py", "1\n")
        project.write("dvc.yaml", PIPELINE)
        project.write("train.sh", TRAIN)
        project.write(".gitignore", "/data/\n/models/\n/rows\n/reports/\n/ran\n/broken\n/wait\n.scratch/\n")
        project.git("init", "-qb", "main")
        project.commit("start")
        return project

    def copy(self, folder: Path) -> "Project":
        # `cp -a` keeps hard links between cache and outputs; copytree would not.
        subprocess.run(["cp", "-a", self.root, folder / "project"], check=True)
        return Project(folder / "project")

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command as a user who is not root."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=obey_file_modes,
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
        return done

    def make(self, *recipes: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """What `make` runs, or the same with other recipes."""
        return self.run(*(HEADLINE[:3] + recipes if recipes else HEADLINE), check=check)

    def git(self, *arguments: str) -> str:
        signed = ["-c", "user.name=Recap", "-c", "user.email=recap@example.invalid"]
        return self.run("git", *signed, *arguments).stdout.strip()

    def commit(self, message: str) -> str:
        self.git("add", "-A")
        self.git("commit", "-qm", message)
        return self.head

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def read(self, path: str) -> str:
        return (self.root / path).read_text(encoding="utf-8")

    def edit(self, path: str, old: str, new: str) -> None:
        assert old in self.read(path)
        self.write(path, self.read(path).replace(old, new))

    def experiments(self) -> dict[str, str]:
        """Commits of all experiments, of whatever commit, by <baseline>/<name>."""
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/exps").splitlines()
        refs = dict(line.split() for line in lines if len(line.split()[0].split("/")) == 5)
        return {"".join(ref.split("/")[2:4]) + "/" + ref.split("/")[4]: commit for ref, commit in refs.items()}

    def experiment(self, name: str) -> str:
        """The commit of this commit's experiment."""
        return self.experiments()[f"{self.head}/{name}"]

    def loss_of(self, revision: str) -> float:
        return float(json.loads(self.git("show", f"{revision}:metrics/pretrain.json"))["pretrain"]["loss_final"])

    def trained(self) -> list[str]:
        """Recipes and seeds that were trained since the last call."""
        path = self.root / "ran"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines
