"""Models on the Hub, with the real client against a Hub on the loopback: pushed, read back, loaded and read by name."""

import io
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import matplotlib
import pytest
import yaml
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoProcessor

from data_scripts.synthesize import main as synthesize
from helpers.commands import ROOT
from helpers.hub_client import environment, run, run_commands
from helpers.hub_server import File, HubServer, Repo
from ocr2_hf.document.grounding import plain_text
from ocr2_hf.errors import run_command
from ocr2_hf.evaluation.text import character_error_rate
from ocr2_hf.modeling.load import load_model

READER = ROOT / "recipes/tiny/base"  # it reads typed slips
ORIGIN = b"---\nlicense: cc-by-4.0\n---\n# the model that the others were trained from\n"


@pytest.fixture(scope="module")
def hub():
    with HubServer() as server:
        server.repos["models/me/origin"] = Repo(False, [{"README.md": File(ORIGIN, False)}])
        yield server


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def slips(tmp_path_factory, hub, home) -> Path:
    """Typed slips, built into a dataset and pushed: me/slips."""
    folder = tmp_path_factory.mktemp("slips")
    font = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSansMono.ttf"
    options = ["--kind", "typed", "--pages", "16", "--seed", "7", "--size", "192x192", "--font", str(font)]
    assert run_command(synthesize, [str(folder), *options]) == 0
    words = ("slips", "--annotations", folder, "--val", 0.25, "--test", 0.25, "--push", "me/slips", "--license", "mit")
    done = run(hub, home, "data_scripts/build_dataset.py", *words)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A model trained in full with a box head, as `train` leaves it, its weights in several files."""
    folder = tmp_path_factory.mktemp("model") / "reader"
    trained = load_model(READER)
    trained.add_box_head()
    trained.save_pretrained(folder, max_shard_size="1MB")
    AutoProcessor.from_pretrained(READER).save_pretrained(folder)
    recipe = {"model": "me/origin", "dataset": "me/slips", "tasks": {"markdown": 1.0}, "learning_rate": 2e-5}
    recipe["prompts"] = {"ocr": "<image>\nRead it."}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 12, "epoch": 2.0, "log_history": []}))
    Image.new("RGB", (40, 30), "white").save(folder / "curves.png")
    (folder / "training_args.bin").write_bytes(b"a pickle")
    (folder / "checkpoint-12").mkdir()
    (folder / "checkpoint-12" / "optimizer.pt").write_bytes(b"another")
    return folder


@pytest.fixture(scope="module")
def pushed(slips, model, hub, home) -> str:
    """The model, evaluated and pushed: me/reader, private. What the command printed."""
    evaluate = ("evaluate", ["--model", model, "--dataset", "me/slips", "--output_dir", model / "test"])
    evaluated, push = run_commands(hub, home, evaluate, ("push", [model, "me/reader", "--private"]))
    assert evaluated[0] == 0 and push[0] == 0, (evaluated, push)
    return push[1]


@pytest.fixture(scope="module")
def trained(slips, hub, home, tmp_path_factory) -> Path:
    """Adapters trained by a recipe that pushes at every save and at its end: me/slips-lora."""
    output = tmp_path_factory.mktemp("runs") / "slips"
    words = ["--model", READER, "--dataset", "me/slips", "--output_dir", output, "--max_steps", "1"]
    words += ["--eval_strategy", "steps", "--eval_pages", "1", "--save_strategy", "steps", "--save_steps", "1"]
    words += ["--push_to_hub", "--hub_model_id", "me/slips-lora", "--hub_strategy", "every_save", "--hub_private_repo"]
    done = run(hub, home, "-m", "ocr2_hf", "train", "recipes/tiny/lora.yaml", *words)
    assert done.returncode == 0, done.stderr
    assert f"pushed: {hub.endpoint}/me/slips-lora/tree/" in done.stdout + done.stderr
    return output


def files(hub: HubServer, name: str) -> dict[str, bytes]:
    return {path: file.content for path, file in hub.repo("models", name).files.items()}


def card(hub: HubServer, name: str) -> ModelCard:
    return ModelCard(files(hub, name)["README.md"].decode())


def code_of(text: str) -> str:
    return re.search(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]


def test_what_goes_is_the_model_and_how_it_came_about(pushed, model, hub):
    repo = hub.repo("models", "me/reader")
    assert repo.private and pushed == f"pushed: {hub.endpoint}/me/reader/tree/{repo.commit_id()}\n"
    there = files(hub, "me/reader")
    shards = {path.name for path in model.glob("model-*.safetensors")}
    assert len(shards) > 3 and there.keys() == shards | {
        *("README.md", "config.json", "generation_config.json", "model.safetensors.index.json"),
        *("chat_template.jinja", "processor_config.json", "tokenizer.json", "tokenizer_config.json"),
        *("recipe.yaml", "trainer_state.json"),
        *("box_head.safetensors", "curves.png", "example.png", "evaluation/test/metrics.json"),
    }
    for name in (*shards, "recipe.yaml", "tokenizer.json"):
        assert there[name] == (model / name).read_bytes()
    assert there["evaluation/test/metrics.json"] == (model / "test/metrics.json").read_bytes()
    assert json.loads(there["generation_config.json"])["no_repeat_ngram_size"] == 35
    assert max(Image.open(io.BytesIO(there["example.png"])).size) >= 800


def test_the_cards_head_is_what_the_hub_asks_for(pushed, model, hub):
    data = card(hub, "me/reader").data.to_dict()
    assert (data["pipeline_tag"], data["library_name"], data["license"]) == (
        "image-text-to-text",
        "transformers",
        "cc-by-4.0",
    )
    assert (data["base_model"], data["base_model_relation"], data["datasets"]) == (
        "me/origin",
        "finetune",
        ["me/slips"],
    )
    metrics = json.loads((model / "test/metrics.json").read_text())
    (index,) = data["model-index"]
    (result,) = index["results"]
    assert result["dataset"] == {"type": "me/slips", "name": "me/slips", "split": "test"}
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert values["cer"] == round(metrics["cer"], 6) and values["bbox_iou"] == round(metrics["bbox_iou"], 6)
    text = card(hub, "me/reader").text
    assert "| Character errors ↓ | " in text and "| learning_rate | 2e-05 |" in text and "(curves.png)" in text
    assert "ocr2 evaluate --model runs/reader --dataset me/slips --split test" in text


OURS = """
from ocr2_hf import DocumentReader
from ocr2_hf.commands.read import main
main(["page.png", "--model", "{name}"])
print("=" * 9)
reader = DocumentReader.from_pretrained("{name}")
print(reader.prompts["ocr"], reader.model.box_head is not None)
"""


def use(hub: HubServer, name: str, page: Path, folder: Path) -> list[str]:
    """What a stranger gets by the name alone: a page read by the card's code, run as it stands, and by `ocr2 read`; a
    prompt, and whether there is a box head."""
    shutil.copyfile(page, folder / "page.png")
    (folder / "use.py").write_text(f"{code_of(card(hub, name).text)}\nprint('=' * 9)\n{OURS.format(name=name)}")
    done = run(hub, folder / "home", "use.py", cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("=" * 9)


@pytest.mark.parametrize(
    ("name", "made", "beside"),
    [("me/reader", "pushed", "<image>\nRead it. True"), ("me/slips-lora", "trained", "<image>\nFree OCR. False")],
)
def test_the_cards_code_and_ours_read_a_page_by_name_in_a_new_process(
    name, made, beside, request, slips, hub, tmp_path
):
    request.getfixturevalue(made)
    page = slips / "images/000000.png"
    truth = json.loads((slips / "annotations/000000.json").read_text())["text"]
    stock, ours, told = use(hub, name, page, tmp_path)
    assert told.strip() == beside
    assert stock.startswith("<|ref|>") and character_error_rate([plain_text(stock)], [truth]) < 0.1
    assert character_error_rate([ours], [truth]) < 0.1


def test_a_recipe_pushes_adapters_as_adapters_with_a_base_that_is_nowhere_else(trained, hub):
    repo, there = hub.repo("models", "me/slips-lora"), files(hub, "me/slips-lora")
    assert repo.titles == ["initial commit", "Save checkpoint-1", "Upload slips"] and repo.private
    assert there["adapter_model.safetensors"] == (trained / "adapter_model.safetensors").read_bytes()
    assert there["base/model.safetensors"] == (READER / "model.safetensors").read_bytes()
    assert json.loads(there["adapter_config.json"])["base_model_name_or_path"] == "me/slips-lora/base"
    assert there["example.png"] == (trained / "example.png").read_bytes()
    assert "model.safetensors" not in there and str(trained) not in there["README.md"].decode()
    data = card(hub, "me/slips-lora").data.to_dict()
    assert (data["library_name"], data["license"], "base_model" in data) == ("peft", "apache-2.0", False)
    text = card(hub, "me/slips-lora").text
    assert (trained / "example.txt").read_text() in text and "Measured in training" in text
    assert "--model slips-lora/base --push_to_hub false" in text
    assert not list(trained.glob(".push-*"))


def test_an_interrupted_push_goes_on_and_shows_nothing_half(model, home):
    with HubServer() as hub:  # one that has no file yet
        interrupt_and_go_on(hub, home, model)


def interrupt_and_go_on(hub: HubServer, home: Path, model: Path) -> None:
    arrived: list[str] = []
    killed = threading.Event()

    def wait(method: str, path: str) -> None:
        if method == "PUT" and len(arrived) >= 2:
            killed.wait(60)
            raise ConnectionResetError
        if method == "PUT":
            arrived.append(path)

    hub.before = wait
    command = [sys.executable, "-m", "ocr2_hf", "push", str(model), "me/resumed", "--evaluation", "--no_example"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(hub, home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while len(hub.large) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    out, _ = process.communicate()
    killed.set()
    hub.before = lambda method, path: None
    sent = set(hub.large)
    assert len(sent) >= 2 and "pushed" not in out and files(hub, "me/resumed") == {}

    before = len(hub.requests)
    ((status, out, error),) = run_commands(hub, home, ("push", [model, "me/resumed", "--evaluation", "--no_example"]))
    assert status == 0 and "pushed: " in out, error
    again = {path.removeprefix("/large/") for method, path, _ in hub.requests[before:] if method == "PUT"}
    assert again and not again & sent
    assert files(hub, "me/resumed").keys() >= {path.name for path in model.glob("model-*.safetensors")}
    assert "example.png" not in files(hub, "me/resumed")


def test_every_refusal_is_one_message_without_the_token(pushed, model, hub, home, tmp_path):
    hub.repos["models/me/other"] = Repo(False, [{"weights.gguf": File(b"somebody's", False)}])
    hub.repos["models/me/public"] = Repo(False)
    hub.loses = {"trainer_state.json"}
    (tmp_path / "empty").mkdir()
    secret = "hf_secretsecretsecret"
    quiet = ["--evaluation", "--no_example"]
    cases = [
        ([model, "me/reader2", *quiet], secret, 1, "the token is not accepted"),
        ([model, "others/reader", *quiet], hub.token, 1, "the token may not write there"),
        ([model, "me/other", *quiet], hub.token, 2, "me/other holds other content (weights.gguf): nothing is pushed"),
        ([model, "me/public", "--private", *quiet], hub.token, 2, "me/public is there already and public"),
        ([model, "reader", *quiet], hub.token, 2, "'reader' is not ORG/NAME"),
        ([model, "me/..", *quiet], hub.token, 2, "'me/..' is no name of a repository"),
        ([tmp_path / "gone", "me/x"], hub.token, 2, "no directory"),
        ([tmp_path / "empty", "me/x"], hub.token, 2, "holds no model"),
        ([model, "me/x", "--evaluation", tmp_path / "empty"], hub.token, 2, "no metrics.json of one evaluation there"),
        ([model, "me/lost", *quiet], hub.token, 1, "me/lost does not have what was sent: trainer_state.json differ"),
        ([model, "me/other", "--overwrite", *quiet], hub.token, 1, "trainer_state.json differ"),
    ]
    told = run_commands(
        hub,
        home,
        *(("push", words) for words, *_ in cases),
        tokens={number: token for number, (_, token, *_) in enumerate(cases)},
    )
    hub.loses = set()
    for (words, _, status, message), (found, out, error) in zip(cases, told, strict=True):
        assert (found, message in error) == (status, True), (words, found, error)
        assert "pushed" not in out and "Traceback" not in error and not {secret, hub.token} & set(error.split())
        assert secret not in error + out and hub.token not in error + out
    assert files(hub, "me/public") == {} and "models/me/reader2" not in hub.repos
    assert "weights.gguf" in files(hub, "me/other")  # what a push did not write stays, also with --overwrite


def test_a_later_push_takes_away_what_the_model_no_longer_has(pushed, hub, home, tmp_path):
    """Merged into one file and without an evaluation, under the same name: no old shards beside it."""
    folder = tmp_path / "whole"
    shutil.copytree(READER, folder)
    ((status, _, error),) = run_commands(hub, home, ("push", [folder, "me/reader", "--license", "mit"]))
    assert status == 0, error
    there = files(hub, "me/reader")
    assert [name for name in there if name.endswith(".safetensors")] == ["model.safetensors"]
    assert not [name for name in there if "index" in name or name.startswith("evaluation") or name == "example.png"]
    assert card(hub, "me/reader").data.license == "mit" and hub.repo("models", "me/reader").private
    assert load_file(folder / "model.safetensors").keys()


def test_a_network_that_is_not_there(model, hub, home):
    done = run(hub, home, "-m", "ocr2_hf", "push", model, "me/reader", HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 1 and "no answer from http://127.0.0.1:9" in done.stderr
    assert "push again and it goes on" in done.stderr
    assert "Traceback" not in done.stderr and hub.token not in done.stderr + done.stdout


def test_a_run_that_is_finished_pushes_again_and_one_that_could_not_push_does_not_start(trained, hub, home, tmp_path):
    """A push that failed after the training is made up for by the same command; what is there is not sent again."""
    before, commits = len(hub.requests), len(hub.repo("models", "me/slips-lora").commits)
    words = ["recipes/tiny/lora.yaml", "--dataset", "me/slips", "--output_dir", tmp_path / "run", "--push_to_hub"]
    again, refused, published = run_commands(
        hub,
        home,
        ("train", [trained / "recipe.yaml", "--output_dir", trained]),
        ("train", [*words, "--hub_model_id", "me/never"]),
        ("train", [*words, "--hub_model_id", "me/never", "--hub_token", "hf_abc"]),
        tokens={1: "hf_wrongwrongwrong"},
    )
    assert again[0] == 0 and "is finished" in again[2] and "pushed: " in again[2]
    assert not [request for request in hub.requests[before:] if request[0] == "PUT"]
    assert len(hub.repo("models", "me/slips-lora").commits) == commits
    assert refused[0] == 1 and "the token is not accepted" in refused[2] and "nothing was started" in refused[2]
    assert published[0] == 2 and "hub_token: the recipe is saved beside the model" in published[2]
    assert "hf_abc" not in published[2] and not (tmp_path / "run").exists()
