"""How stock `generate` reads a page: the generation config that goes along with every published model."""

from typing import Any

# As the authors' own code decodes whole pages (`infer` of the original repository). Stock `generate` knows no window:
# a shorter n-gram would forbid the rows of empty cells that real tables have.
NO_REPEAT_NGRAM = 35
# What the authors let a page take at most.
MAX_NEW_TOKENS = 8192


def reading_config(config: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """The fields of a `GenerationConfig` that reads greedily, to the end of a page, without loops.

    `config`: the model's own, as its config.json has it; `known`: its generation config, for the special tokens.
    """
    text = config["text_config"]
    bos, eos, pad = (_first(known, text, f"{name}_token_id") for name in ("bos", "eos", "pad"))
    return {
        "bos_token_id": bos,
        "eos_token_id": eos,
        "pad_token_id": eos if pad is None else pad,
        "do_sample": False,
        "no_repeat_ngram_size": NO_REPEAT_NGRAM,
        "max_new_tokens": min(MAX_NEW_TOKENS, text["max_position_embeddings"]),
    }


def _first(known: dict[str, Any], text: dict[str, Any], name: str) -> int | None:
    return known[name] if known.get(name) is not None else text.get(name)
