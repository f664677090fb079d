"""`ocr2 COMMAND` and `python -m ocr2_hf COMMAND`."""

import sys
from importlib import import_module

from ocr2_hf.errors import UsageError, run_command

COMMANDS = {
    "build": "a folder of annotated pages to a dataset with a name",
    "inspect": "what is in a built dataset: counts, lengths, pages with their boxes",
    "crop": "the lines, words or cells of a built dataset as pages of their own",
    "synthesize": "drawn pages with exact annotations",
    "plan": "what a recipe needs: parameters, tokens, memory; no weights",
    "train": "fine-tune by a recipe (through accelerate launch or deepspeed)",
    "bench": "how fast a recipe trains and in how much memory, beside the stock Trainer",
    "evaluate": "score a model, or saved predictions, and write a report",
    "read": "images or PDF to markdown and JSON",
    "statements": "financial statements to checked JSON, CSV or XLSX",
    "export": "a trained directory for other programs: merged, original layout, ONNX",
    "push": "a trained directory to the Hub, with a model card",
}


def main(argv: list[str] | None = None) -> int:
    """Run the command that the first word names; its exit status. Raises `UsageError` where there is none."""
    words = sys.argv[1:] if argv is None else argv
    # The deepspeed launcher puts its own flag before the command.
    while words and words[0].startswith("--local_rank"):
        words = words[1:]
    if not words or words[0] in ("-h", "--help"):
        print("usage: ocr2 COMMAND ...\n\n" + "\n".join(f"  {name:<12}{text}" for name, text in COMMANDS.items()))
        return 0 if words else 2
    if words[0] not in COMMANDS:
        raise UsageError(f"no command {words[0]!r}; there are {', '.join(COMMANDS)}")
    return import_module(f"ocr2_hf.commands.{words[0]}").main(words[1:])


def cli() -> None:
    """The console script."""
    sys.exit(run_command(main))


if __name__ == "__main__":
    cli()
