"""Choose what a benchmark asks: one or two different questions about each of its scenes."""

import random
from dataclasses import dataclass

from recap.runtime.seeding import derive_seed
from recap.world.questions import question_answer
from recap.world.scenes import Scene, scenes
from recap.world.settings import WorldSettings


@dataclass(frozen=True)
class Asked:
    """One question of a benchmark; `image` counts the scenes from 0, `turn` the questions of one scene."""

    scene: Scene
    image: int
    turn: int
    family: str
    question: str
    answer: str


def questions_by_scene(count: int, rng: random.Random) -> list[int]:
    """How many questions each scene gets, one or two, adding up to `count`."""
    numbers: list[int] = []
    while count > 0:
        numbers.append(min(rng.choice((1, 2)), count))
        count -= numbers[-1]
    return numbers


def ask(benchmark: str, families: dict[str, int], world: WorldSettings) -> list[Asked]:
    """The questions of a benchmark, no question twice about one scene.

    Args:
        benchmark: Also the name of the split that owns the scenes.
        families: Weight of each question family.
        world: Settings; `benchmarks.questions` says how many.
    """
    rng = random.Random(derive_seed(world.seed, benchmark))
    numbers = questions_by_scene(world.benchmarks.questions, rng)
    asked: list[Asked] = []
    for image, (scene, number) in enumerate(zip(scenes(benchmark, len(numbers), world.seed), numbers, strict=True)):
        done: set[str] = set()
        while len(done) < number:
            family = rng.choices(list(families), weights=list(families.values()))[0]
            question, answer = question_answer(scene, family, rng)
            if question not in done:
                asked.append(Asked(scene, image, len(done), family, question, answer))
                done.add(question)
    return asked
