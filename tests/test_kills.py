"""Every command that writes, killed at any of its file operations and run again: as if nothing had been.

Which operations is drawn, with a fixed seed, from all that an undisturbed run makes.
"""

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from helpers.commands import build, environment, write_pages
from helpers.hub_client import environment as hub_environment
from helpers.hub_server import HubServer
from helpers.kills import call, operations, results
from helpers.tiny_pages import page_row
from helpers.trainings import STAGED_RECIPE
from ocr2_hf.document.folder_lock import PARTIAL
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
        wrong = differences(results(scene.work), whole)
        if command == "bench":  # holds no folder, but writes two files among the user's
            wrong = [path for path in wrong if not path.endswith(PARTIAL)]
        assert (status, wrong) == (0, []), f"{told}\n{said}"


def differences(left: dict, whole: dict) -> list[str]:
    return sorted(path for path in left.keys() | whole.keys() if left.get(path) != whole.get(path))


def at(log: Path, number: int) -> str:
    done = operations(log)
    return done[number - 1] if number <= len(done) else "not reached"


@pytest.mark.parametrize("command", QUICK)
def test_killed_once(scene, command):
    kill_and_run_again(scene, command, 1)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_killed_anywhere(scene, command):
    kill_and_run_again(scene, command, 2 if command == "onnx" else 6)


@pytest.mark.slow
def test_killed_inside_torchs_exporter(scene):
    """Which writes nothing for most of the time that an export takes."""
    begun = time.monotonic()
    whole, _ = undisturbed(scene, "onnx")
    seconds = time.monotonic() - begun
    begins = 1 + next(place for place, line in enumerate(operations(scene.log)) if line.endswith(".out.partial"))
    scene.anew()
    for share in (0.2, 0.35, 0.5):
        status, said = scene.run("onnx", number=begins, delay=round(1000 * share * seconds))
        assert status == -signal.SIGALRM, said
        assert not (scene.work / "out").exists()
    assert scene.run("onnx")[0] == 0
    assert differences(results(scene.work), whole) == []


# --- a push, killed at one of the requests to the Hub


@dataclass
class Killing:
    """Kills the process group `group` at the request `number` (0: never), which comes through or is `lost`."""

    number: int = 0
    lost: bool = False
    group: int = 0
    count: int = 0

    def __call__(self, method: str, path: str) -> None:
        self.count += 1
        if self.count == self.number:
            os.killpg(self.group, signal.SIGKILL)
            if self.lost:
                raise ConnectionResetError


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with HubServer() as hub:
        yield hub


PUSHES = {
    "model": "push {place}/base me/reader --no_example --license mit",
    "dataset": "build kills --annotations {place}/pages --val 0 --test 0.5 --split rank --push me/pages --license mit",
}


def push(scene: Scene, hub: HubServer, what: str, kill: Killing) -> tuple[int, str]:
    words = PUSHES[what].format(place=scene.place).split()
    env = hub_environment(hub, scene.work / "home", HF_DATASETS_CACHE=str(scene.work / "cache"))
    hub.before = kill
    return call(words, scene.log, env, begun=lambda group: setattr(kill, "group", group))


def pushed(hub: HubServer) -> dict[str, dict[str, bytes]]:
    """The files of every repository; a Hub that has forgotten all is left."""
    there = {name: {path: file.content for path, file in repo.files.items()} for name, repo in hub.repos.items()}
    hub.repos.clear()
    hub.large.clear()
    return there


@pytest.mark.slow
@pytest.mark.parametrize("what", PUSHES)
def test_a_push_killed_between_its_requests(scene, hub, what):
    scene.anew()
    undisturbed = Killing()
    status, said = push(scene, hub, what, undisturbed)
    assert status == 0, said
    whole = pushed(hub)
    assert len(whole) == 1
    for number in range(1, undisturbed.count + 1):
        scene.anew()
        status, _ = push(scene, hub, what, Killing(number, lost=bool(number % 2)))
        assert status == -signal.SIGKILL, f"request {number} of {undisturbed.count}"
        status, said = push(scene, hub, what, Killing())
        assert status == 0, f"request {number} of {undisturbed.count}: {said}"
        assert pushed(hub) == whole, f"request {number} of {undisturbed.count}"
