"""Two processes store the vision features of a dataset while ZeRO-3 has the encoder's weights split between them.

    python vision_cache_worker.py RESULT_DIR MODEL DATASET

RESULT_DIR/cache are the features; RESULT_DIR/RANK.json: world size, weights left in this process before.
"""

import gc
import json
import sys
from pathlib import Path

import deepspeed

from ocr2_hf import load_dataset
from ocr2_hf.benchmark.machine import end_processes
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.modeling.load import load_model, load_processor
from ocr2_hf.recipe import OCR2TrainingArguments
from ocr2_hf.training.vision_cache import VisionCache


def main(result: Path, base: str, dataset: str) -> None:
    args = OCR2TrainingArguments(output_dir=str(result), vision_cache_dir=str(result / "cache"), disable_tqdm=True)
    deepspeed.init_distributed(dist_backend="gloo")
    tower = load_model(base).model.vision_tower
    deepspeed.zero.Init(module=tower, config_dict_or_path={"train_batch_size": 2, "zero_optimization": {"stage": 3}})
    left = sum(parameter.numel() for parameter in tower.parameters())
    processor = load_processor(base)
    pages = PageTasks(load_dataset(dataset, split="train"), processor, {"markdown": 1.0})
    stored = VisionCache(tower, processor, args, deepspeed=True).fill(pages, "training")
    told = {"world": args.world_size, "left": left, "pages": len(stored)}
    (result / f"{args.process_index}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
    gc.collect()  # gloo's threads must not free tensors while Python shuts down
    end_processes()
