"""Short trainings of a tiny model in this process, and what they logged."""

import json

from helpers.tiny_pages import plain_pages, processor, text_model
from ocr2_hf import OCR2Trainer
from ocr2_hf.recipe import OCR2TrainingArguments

QUICK = {
    "num_train_epochs": 2,
    "per_device_train_batch_size": 2,
    "per_device_eval_batch_size": 3,
    "logging_steps": 1,
    "save_strategy": "no",
    "learning_rate": 1e-3,
    "loss_chunks": 2,
    "token_weights": {"coordinate": 2.0, "eos": 3.0},
    "label_weights": {"title": 1.5},
    "eval_pages": 0,
    "disable_tqdm": True,
    "dataloader_pin_memory": False,
}
# For test_stages.py, and for two processes in test_multiprocess.py.
STAGES = [
    {"name": "text", "share": 0.5, "box_weight": 0},
    {"name": "joint", "share": 0.5, "box_weight": 0.5, "train_box_head": True, "learning_rate": 5e-4},
]
STAGED_RECIPE = {
    "model": "tiny",
    "dataset": "staged",
    "train_language": "full",
    "box_source": "head",
    "loss_chunks": 1,
    "per_device_train_batch_size": 2,
    "learning_rate": 1e-3,
    "max_steps": 8,
    "logging_steps": 1,
    "save_strategy": "steps",
    "save_steps": 2,
    "stages": STAGES,
}


def trainer_for(folder, model=None, data=None, **values) -> OCR2Trainer:
    args = OCR2TrainingArguments(output_dir=str(folder), **(QUICK | values))
    data = data or plain_pages()
    return OCR2Trainer(model or text_model(), args, processor=processor(), train_dataset=data, eval_dataset=data)


def rows(trainer) -> list[dict]:
    return [row for row in trainer.state.log_history if "loss" in row]


def history(folder) -> list[tuple]:
    """Step and losses of every row, of training and of evaluation."""
    rows = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    names = ("step", "loss", "loss_text", "learning_rate", "eval_loss", "eval_token_accuracy")
    return [tuple(row.get(name) for name in names) for row in rows if "loss" in row or "eval_loss" in row]


def logged(folder) -> list[dict]:
    return [r for r in json.loads((folder / "trainer_state.json").read_text())["log_history"] if "loss" in r]
