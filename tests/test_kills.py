"""Every command that writes, killed at any of its file operations and run again: as if nothing had been.

Which operations is drawn, with a fixed seed, from all that an undisturbed run makes.
"""

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from helpers.commands import build, environment, write_pages
from helpers.kills import call, operations, results
from helpers.tiny_pages import page_row
from helpers.trainings import STAGED_RECIPE
from ocr2_hf.modeling.tiny import save_tiny

FEW = ["--max_new_tokens", "6", "--batch_size", "2"]
RECIPE = {
    "dataset": "kills",
    "loss_chunks": 1,
    "per_device_train_batch_size": 2,
    "learning_rate": 1e-3,
    "max_steps": 4,
    "logging_steps": 1,
    "eval_strategy": "no",
    "save_strategy": "steps",
    "save_steps": 1,
    "save_total_limit": 2,
}
LORA = {"model": "tiny", "train_language": "lora", "lora_r": 2}
STAGED = STAGED_RECIPE | {"dataset": "kills", "max_steps": 4}
RECIPES = {
    "full": RECIPE | {"train_language": "full", "cache_vision_features": True, "augment": "none"},
    "lora": RECIPE | LORA | {"train_projector": True},
    "stages": STAGED,
    "lora_stages": STAGED | LORA,
}
BUILD = "build other --annotations {place}/pages --val 0.3 --test 0.3 --split rank"
READ = "{place}/pages --model {place}/base --output_dir {out}"
COMMANDS = {
    "build": BUILD,
    "build with two workers": f"{BUILD} --num_proc 2",
    "build again": "build kills --annotations {place}/pages --val 0.2 --test 0.2 --split rank",
    "inspect": "inspect kills --tokenizer {place}/base --output_dir {out}",
    "crop": "crop kills {out}",
    "synthesize": "synthesize {out} --kind typed --pages 5",
    "train full": "train {place}/full.yaml --output_dir {out}",
    "train lora": "train {place}/lora.yaml --output_dir {out}",
    "train stages": "train {place}/stages.yaml --output_dir {out}",
    "train lora in stages": "train {place}/lora_stages.yaml --output_dir {out}",
    "evaluate": "evaluate --model {place}/base --dataset kills --output_dir {out}",
    "evaluate predictions": "evaluate --predictions {place}/scored/predictions.jsonl --output_dir {out}",
    "compare": "evaluate --compare {place}/scored {place}/scored --output_dir {out}",
    "read": f"read {READ}",
    "statements": f"statements {READ} --to json csv xlsx",
    "merged": "export {place}/base --to merged --output_dir {out}",
    "original": "export {place}/base --to original --output_dir {out}",
    "onnx": "export {place}/base --to onnx --output_dir {out}",
    "bench": "bench {place}/full.yaml --loss 1x64 --rounds 1 --output {out}/bench.json",
}
READERS = ("evaluate", "read", "statements")
QUICK = ("build", "crop", "evaluate predictions", "read", "synthesize", "merged")


@dataclass(frozen=True)
class Scene:
    """What commands start from: `place` is left as it is, `work` is where they write."""

    place: Path
    work: Path

    def run(self, command: str, **killed) -> tuple[int, str]:
        words = COMMANDS[command].format(place=self.place, out=self.work / "out").split()
        words += FEW if words[0] in READERS and "--model" in words else []
        env = environment(HF_DATASETS_CACHE=str(self.work / "cache"), TMPDIR=str(self.place / "tmp"))
        return call(words, self.log, env, **killed)

    @property
    def log(self) -> Path:
        return self.place / "operations.log"

    def anew(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.place / "cache", self.work / "cache")


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Scene:
    place = tmp_path_factory.mktemp("kills")
    (place / "tmp").mkdir()
    rows = [page_row(f"p{i}", (120 + 10 * i, 90), [f"Line {i}", "Total"], 2) for i in range(6)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datasets.config.HF_DATASETS_CACHE", place / "cache")
        build("kills", write_pages(place / "pages", rows), "--val", "0", "--test", "0.5", "--split", "rank")
    base = save_tiny(place / "base")
    for name, recipe in RECIPES.items():
        (place / f"{name}.yaml").write_text(yaml.safe_dump({"model": str(base)} | recipe))
    scene = Scene(place, place / "work")
    scene.anew()
    assert scene.run("evaluate")[0] == 0
    shutil.move(scene.work / "out", place / "scored")
    return scene


def undisturbed(scene: Scene, command: str) -> tuple[dict[str, str], int]:
    """What the command leaves, and how many operations it takes."""
    scene.anew()
    status, told = scene.run(command)
    assert status == 0, told
    return results(scene.work), len(operations(scene.log))


def drawn(command: str, count: int, kills: int) -> list[tuple[int, int, str]]:
    """Which operation, how long after it, and who; as `call` takes them."""
    lots = random.Random(command)
    return [
        (lots.randint(1, count), lots.choice((0, 0, 1, 10, 100)), lots.choice(("itself", "group")))
        for _ in range(kills)
    ]


def kill_and_run_again(scene: Scene, command: str, kills: int) -> None:
    """Half of the retries are killed too."""
    whole, count = undisturbed(scene, command)
    for place, kill in enumerate(drawn(command, count, kills)):
        scene.anew()
        told = []
        for number, delay, whom in [kill, *drawn(f"{command} {place}", count, place % 2)]:
            status, _ = scene.run(command, number=number, delay=delay, whom=whom)
            told.append(f"{number} of {count}, {delay} ms, {whom}: status {status}: {at(scene.log, number)}")
        status, said = scene.run(command)
        left = results(scene.work)
        wrong = sorted(path for path in left.keys() | whole.keys() if left.get(path) != whole.get(path))
        print(command, told, status, wrong)
        assert (status, wrong) == (0, []), f"{told}\n{said}"


def at(log: Path, number: int) -> str:
    done = operations(log)
    return done[number - 1] if number <= len(done) else "not reached"


@pytest.mark.parametrize("command", QUICK)
def test_killed_once(scene, command):
    kill_and_run_again(scene, command, 1)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_killed_anywhere(scene, command):
    kill_and_run_again(scene, command, 3 if command == "onnx" else 6)
