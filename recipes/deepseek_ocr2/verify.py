"""Hold a checkpoint against what this repository takes for granted: see verify.sh."""

import argparse
import html
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from string import Template
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from ocr2_hf.data.collator import GenerationCollator, coordinate_token_ids
from ocr2_hf.data.tasks import PROMPTS
from ocr2_hf.document.atomic_files import write_json, write_whole
from ocr2_hf.document.dialect import VERSION_1, VERSION_2
from ocr2_hf.document.grounding import COORDINATE_MAX, encode_regions, parse_regions
from ocr2_hf.errors import UsageError, WorkError, run_command
from ocr2_hf.evaluation import report
from ocr2_hf.modeling.generation import generate
from ocr2_hf.modeling.load import load_model, load_processor
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.modeling.model_files import first_line, load_config

RECIPE = "recipes/deepseek_ocr2/lora.yaml"
# As vLLM, SGLang and the authors' code pin them; `<image>` is 128815.
OWN_IDS = dict(
    zip(
        ("<image>", "<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>", "<td>", "</td>", "<tr>", "</tr>"),
        range(128815, 128825),
        strict=True,
    )
)
# Kind of drawn pages -> tasks. Few pages: an hour has many questions.
READ = {"articles": ("ocr", "markdown", "locate"), "statements": ("table",)}
PAGES = 3
COMPARED_TOKENS = 64  # of the same page, read by our code and by stock classes
METRICS = ("cer", "bbox_iou", "teds", "repetition_rate", "missing_eos_rate", "inference_time")
TITLES = {
    "weights": "Weights", "tokens": "Tokens", "reading": "Reading", "dialect": "Dialect",
    "training": "Two steps of LoRA, merged, read by stock classes", "onnx": "ONNX",
}  # fmt: skip
BAD = ("differs", "failed")


@dataclass
class Finding:
    """What a step found: `verdict` is agrees, differs, told (nothing to agree with), skipped or failed."""

    verdict: str
    text: str
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """The model that is verified, and where everything goes."""

    model: str
    folder: Path

    @property
    def options(self) -> tuple[str, ...]:
        """Of training, where it differs from the recipe: what a machine without a GPU can do."""
        return () if torch.cuda.is_available() else ("--bf16", "false", "--dataloader_num_workers", "0")

    def command(self, *words: Any) -> None:
        """Run `ocr2`; `WorkError` with its last line where it fails."""
        with open(self.folder / "log.txt", "a", encoding="utf-8") as log:
            log.write(f"\n== ocr2 {' '.join(map(str, words))}\n")
            log.flush()
            done = subprocess.run([sys.executable, "-m", "ocr2_hf", *map(str, words)], stdout=log, stderr=log)
        if done.returncode:
            raise WorkError(f"ocr2 {words[0]} ended with status {done.returncode}; see {self.folder / 'log.txt'}")

    def dataset(self, kind: str) -> str:
        """The name of the drawn pages of a kind, built where they are not."""
        raw, name = self.folder / kind, f"verify_{kind}"
        self.command("synthesize", raw, "--kind", kind, "--pages", PAGES, "--seed", 1)
        self.command("build", name, "--annotations", raw, "--val", 0, "--test", 0)
        return name

    def page(self) -> Image.Image:
        """A drawn page of two columns."""
        return Image.open(sorted((self.folder / "articles/images").iterdir())[0], formats=["PNG"]).convert("RGB")


def check_weights(run: Run) -> Finding:
    """Every tensor the architecture has, no other, each in its shape."""
    config = load_config(run.model)
    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    model, info = OCR2Model.from_pretrained(
        run.model, config=config, dtype=dtype, use_safetensors=True, output_loading_info=True
    )
    wrong = {key: sorted(map(str, info[key])) for key in ("missing_keys", "unexpected_keys", "mismatched_keys")}
    parameters = sum(parameter.numel() for parameter in model.parameters())
    said = ", ".join(f"{len(names)} {key.removesuffix('_keys')}" for key, names in wrong.items())
    values = {"parameters": parameters, **{key: names[:20] for key, names in wrong.items()}}
    return Finding("differs" if any(wrong.values()) else "agrees", f"{parameters:,} parameters; keys: {said}.", values)


def check_tokens(run: Run) -> Finding:
    """Ids, coordinates, and whether the stock processor asks as the model was trained to be asked."""
    processor = load_processor(run.model)
    processor.save_pretrained(run.folder / "processor")
    tokenizer, image = processor.tokenizer, Image.new("RGB", (1240, 1754), "white")
    wrong = {token: tokenizer.convert_tokens_to_ids(token) for token in OWN_IDS}
    wrong = {token: number for token, number in wrong.items() if number != OWN_IDS[token]}
    problems = [f"{token} is {number}, not {OWN_IDS[token]}" for token, number in wrong.items()]
    numbers = len(set(coordinate_token_ids(tokenizer)))
    if numbers != COORDINATE_MAX + 1:
        problems.append(f"coordinates have {numbers} tokens")
    ours = GenerationCollator(processor)([image], [PROMPTS["ocr"]])["input_ids"][0].tolist()
    saved = AutoProcessor.from_pretrained(run.folder / "processor", backend="pil")
    stock = saved(images=[image], text=[PROMPTS["ocr"]], return_tensors="pt")["input_ids"][0].tolist()
    if stock != ours:
        problems.append("the stock processor, of what we save, asks otherwise than training does")
    own = processor.tokenizer.bos_token_id
    values = {"vocabulary": len(tokenizer), "bos": own, "ids_of_a_page": len(ours), "stock_begins_with": stock[:2]}
    said = f"{len(tokenizer):,} tokens, BOS {own}; {len(ours):,} ids of an A4 page at 150 dpi."
    return Finding("differs" if problems else "agrees", "; ".join([said, *problems]), values)


def check_reading(run: Run) -> Finding:
    """Drawn pages, by the model's own prompts."""
    values = {}
    for kind, tasks in READ.items():
        name = run.dataset(kind)
        for task in tasks:
            output = run.folder / f"read-{kind}-{task}"
            words = ("--model", run.model, "--dataset", name, "--split", "train", "--task", task)
            run.command("evaluate", *words, "--limit", PAGES, "--max_new_tokens", 2048, "--output_dir", output)
            measured = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
            values[f"{kind} ({task})"] = {key: measured[key] for key in METRICS if measured.get(key) is not None}
    rates = ", ".join(f"{name} {of['cer']:.1%}" for name, of in values.items() if "cer" in of)
    return Finding("told", f"{PAGES} drawn pages of each kind; character errors: {rates}.", values)


def count_dialect(answers: list[str]) -> dict[str, int]:
    """What stands around texts in grounded answers, counted; and how many each known dialect writes as they are."""
    counted: Counter[str] = Counter()
    for answer in answers:
        counted["regions"] += answer.count("<|det|>")
        counted["texts before a blank line"] += len(re.findall(r"[^\n> ] *\n\n+<\|ref\|>", answer))
        for blanks in (1, 2, 3):
            counted[f"with {blanks} blanks behind"] += len(re.findall(rf"[^\n> ] {{{blanks}}}\n\n+<\|ref\|>", answer))
        counted["headings"] += len(re.findall(r"<\|ref\|>(?:sub_)?title<\|/ref\|>", answer))
        counted["with marks"] += len(re.findall(r"<\|ref\|>(?:sub_)?title<\|/ref\|><\|det\|>[^\n]*\n#+ ", answer))
        counted["tables"] += answer.count("<|ref|>table<|/ref|>")
        counted["with a caption between tag and HTML"] += len(
            re.findall(r"<\|ref\|>table<\|/ref\|><\|det\|>[^\n]*\n<\|ref\|>", answer)
        )
        counted["captions in <center>"] += answer.count("<center>")
        for label in re.findall(r"<\|ref\|>(\w+)<\|/ref\|>", answer):
            counted[f"label {label}"] += 1
        regions = parse_regions(answer, COORDINATE_MAX, COORDINATE_MAX)
        for name, dialect in {"version 1": VERSION_1, "version 2": VERSION_2}.items():
            again = encode_regions(regions, COORDINATE_MAX, COORDINATE_MAX, dialect)
            counted[f"answers exactly as {name} writes"] += bool(regions) and again == answer.strip()
    return {"answers": len(answers), **counted}


def check_dialect(run: Run) -> Finding:
    """How the answers to the markdown prompt are written."""
    path = run.folder / "read-articles-markdown/predictions.jsonl"
    if not path.is_file():
        return Finding("skipped", "No page was read with the markdown prompt.")
    lines = path.read_text(encoding="utf-8").splitlines()
    counted = count_dialect([json.loads(line)["prediction"] for line in lines])
    text = f"{counted['regions']} regions; {counted['with marks']} of {counted['headings']} headings have marks."
    if not counted["regions"]:
        return Finding("told", "No answer has a region: nothing to compare.", counted)
    fits = counted["with 2 blanks behind"] == counted["with a caption between tag and HTML"] == 0
    fits = fits and counted["with marks"] == counted["headings"]
    return Finding(
        "agrees" if fits else "differs", f"{text} Written as ocr2_hf/document/dialect.py says: {fits}.", counted
    )


def check_training(run: Run) -> Finding:
    """Two optimizer steps by the recipe, the adapters merged, and a page read by our code and by stock classes."""
    trained, merged = run.folder / "trained", run.folder / "merged"
    if not (merged / "config.json").is_file():
        words = ("--model", run.model, "--dataset", run.dataset("articles"), "--output_dir", trained, *run.options)
        words += ("--max_steps", 2, "--gradient_accumulation_steps", 1, "--per_device_train_batch_size", 1)
        run.command("train", RECIPE, *words, "--logging_steps", 1, "--eval_strategy", "no", "--save_strategy", "no")
        run.command("export", trained, "--to", "merged", "--output_dir", merged)
    history = json.loads((trained / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    losses = [row["loss"] for row in history if "loss" in row]
    page, prompt = run.page(), PROMPTS["markdown"]
    model, processor = load_model(merged).eval(), load_processor(merged)
    ours = generate(model, processor, [page], [prompt], max_new_tokens=COMPARED_TOKENS, no_repeat_ngram=0)[0].text
    del model
    stock = AutoModelForImageTextToText.from_pretrained(
        merged, dtype="auto" if torch.cuda.is_available() else "float32"
    )
    stock = stock.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    inputs = AutoProcessor.from_pretrained(merged, backend="pil")(images=[page], text=[prompt], return_tensors="pt")
    inputs = inputs.to(stock.device, dtype=stock.dtype)
    with torch.no_grad():
        answer = stock.generate(**inputs, max_new_tokens=COMPARED_TOKENS, do_sample=False)[0]
    said = processor.tokenizer.decode(answer[inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    same, finite = said.strip() == ours.strip(), len(losses) == 2 and all(map(torch.isfinite, torch.tensor(losses)))
    values = {"losses": losses, "ours": ours, "stock": said}
    told = ", ".join(f"{loss:.3f}" for loss in losses)
    text = f"Losses {told}; stock classes read {'the same' if same else 'otherwise'}."
    return Finding("agrees" if same and finite else "differs", text, values)


def check_onnx(run: Run) -> Finding:
    """The export, where there is memory for three copies in float32."""
    if importlib.util.find_spec("onnxruntime") is None:
        return Finding("skipped", "onnxruntime is not installed: pip install -e '.[onnx]'.")
    source = run.folder / "merged"
    needed = 3 * 2 * sum(path.stat().st_size for path in source.glob("*.safetensors"))
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if not needed or needed > free:
        return Finding("skipped", f"{needed / 1e9:.1f} GB of memory are needed, {free / 1e9:.1f} GB are free.")
    run.command("export", source, "--to", "onnx", "--output_dir", run.folder / "onnx")
    return Finding("agrees", "Exported, and compared with PyTorch by the export itself.", {"bytes": needed // 3})


STEPS: dict[str, Callable[[Run], Finding]] = {
    "weights": check_weights, "tokens": check_tokens, "reading": check_reading, "dialect": check_dialect,
    "training": check_training, "onnx": check_onnx,
}  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Take every step that is not done yet; 1 where something differs or fails."""
    parser = argparse.ArgumentParser(prog="verify.sh", description=__doc__)
    parser.add_argument("model", metavar="MODEL", help="a folder or a Hub id, in either layout")
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, default=Path("runs/verify"))
    args = parser.parse_args(argv)
    load_config(args.model)  # a name that is no model stops here
    run, path = Run(args.model, args.folder), args.folder / "verify.json"
    run.folder.mkdir(parents=True, exist_ok=True)
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"model": args.model, "steps": {}}
    if found["model"] != args.model:
        raise UsageError(f"{args.folder} has what was found of {found['model']}; name another folder")
    for name, step in STEPS.items():
        if found["steps"].get(name, {}).get("verdict", "failed") in ("failed", "skipped"):
            print(f"{TITLES[name]} ...", flush=True)
            found["steps"][name] = asdict(_taken(step, run))
            write_json(path, found)
            write_whole(args.folder / "verify.html", page_of(found))
        print(f"{TITLES[name]}: {found['steps'][name]['verdict']}. {found['steps'][name]['text']}", flush=True)
    print(f"\n{path}\n{args.folder / 'verify.html'}")
    return int(any(step["verdict"] in BAD for step in found["steps"].values()))


def _taken(step: Callable[[Run], Finding], run: Run) -> Finding:
    try:
        return step(run)
    except Exception as error:  # noqa: BLE001  # on a machine nobody has seen: the other steps still tell something
        return Finding("failed", first_line(error))


_PAGE = Template("""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Verified: $model</title>
<style>
$style
body { max-width: 880px; } h1 { overflow-wrap: anywhere; } body > p { color: var(--soft); margin: 4px 0 20px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px 20px; }
section { margin: 0 0 14px; } section > div { display: flex; justify-content: space-between; gap: 16px; }
.agrees { color: var(--good); } .differs, .failed { color: var(--bad); } .told, .skipped { color: var(--soft); }
.verdict { font-weight: 600; } summary { color: var(--soft); margin-top: 8px; cursor: pointer; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.45 var(--mono); margin: 8px 0 0; }
</style>
<h1>$model</h1><p>$summary</p>
$sections
</html>
""")
_SECTION = Template("""<section><div><h2>$title</h2><span class="verdict $verdict">$verdict</span></div>
<p>$text</p>
<details><summary>Values</summary><pre>$values</pre></details></section>""")


def page_of(found: dict[str, Any]) -> str:
    """What was found as one page that needs no other file."""
    sections, counted = [], Counter(step["verdict"] for step in found["steps"].values())
    for name, step in sorted(found["steps"].items(), key=lambda item: list(STEPS).index(item[0])):
        values = json.dumps(step["values"], indent=2, ensure_ascii=False)
        told = {"title": TITLES[name], "verdict": step["verdict"], "text": step["text"], "values": values}
        sections.append(_SECTION.substitute({key: html.escape(value) for key, value in told.items()}))
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counted.items())
    style = (Path(report.__file__).parent / "report.css").read_text(encoding="utf-8")
    return _PAGE.substitute(
        style=style, model=html.escape(found["model"]), summary=summary, sections="\n".join(sections)
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
