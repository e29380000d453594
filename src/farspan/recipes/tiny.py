"""farspan-tiny, the bundled model: 5.6M parameters that look things up in a window of 1,024 tokens.

    farspan train tiny -o DIR --set corpus=PROSE

PROSE is the folder that `farspan.recipes.corpus` describes. Settings: corpus; hours (of all stages together); seed;
threads; start (a model folder whose weights and tokenizer to go on from, instead of the constructed ones). Expect what
the model card says after HOURS of two cores, about 8M tokens.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from farspan.errors import InputError, UsageError, nearest
from farspan.recipes import corpus, initialise, layout, tokenizer, train, trainable
from farspan.recipes.mix import Mix
from farspan.recipes.shapes import Shape

SHARES = {
    "random_quotes": 0.14,
    "copy": 0.03,
    "quotes": 0.24,
    "tangled_quotes": 0.10,
    "needle": 0.07,
    "niah_single_2": 0.02,
    "key_value": 0.13,
    "hex_keys": 0.06,
    "variables": 0.07,
    "several": 0.07,
    "biographies": 0.07,
}
HOURS = 35 / 60
NOVELS = 6
OVERRIDES = ("corpus", "hours", "seed", "start", "threads")


def config(*, seed: int = 0, threads: int = 2, scale: float = 1.0) -> train.Config:
    """The bundled model's training run, HOURS long; `scale` multiplies the time of every stage."""
    plan = (
        train.Stage(length=128, seconds=45, mastery=0.95, rate=1.2e-3),
        train.Stage(length=256, seconds=135, mastery=0.97, rate=1.2e-3),
        train.Stage(length=512, seconds=240, mastery=0.98, rate=1.0e-3, strangers=0.8),
        train.Stage(length=1024, seconds=1680, mastery=2.0, rate=9e-4, strangers=0.8),
    )
    stages = tuple(replace(stage, seconds=stage.seconds * scale) for stage in plan)
    return train.Config(shares=SHARES, stages=stages, seed=seed, threads=threads)


def run(*, out: Path, overrides: dict[str, str], log: Callable[[str], None]) -> None:
    """Train the tokenizer and the model; leave the model in `out / "model"` and the resumable state beside it."""
    unknown = sorted(set(overrides) - set(OVERRIDES))
    if unknown:
        raise UsageError(f"the recipe tiny has no setting {unknown[0]!r}", fix=nearest(unknown[0], OVERRIDES))
    seed, threads = int(_number(overrides, "seed", 0)), int(_number(overrides, "threads", 2))
    settings = config(seed=seed, threads=threads, scale=_number(overrides, "hours", HOURS) / HOURS)
    texts = corpus.texts(Path(overrides.get("corpus", "corpus")))
    if "start" in overrides:
        words, model = _load(Path(overrides["start"]))
        mix = Mix(words, texts, settings.shares)
    else:
        words = load_tokenizer(out / "tokenizer", texts)
        mix = Mix(words, texts, settings.shares)
        marks = layout.Marks(begin=0, answer=2, space=mix.encode(" ")[0], quote=mix.encode('"')[0])
        model = initialise.model(Shape(), marks, tokenizer.spellings(words), seed=seed)
    settings = replace(settings, trained=trainable.shares(Shape()))
    train.run(settings, model, words, mix, out=out, log=log)


def _load(folder: Path) -> tuple[PreTrainedTokenizerFast, LlamaForCausalLM]:
    if not (folder / "config.json").is_file():
        raise InputError(f"start={folder} is no model folder: no config.json", fix="give a folder that training wrote")
    return PreTrainedTokenizerFast.from_pretrained(folder), LlamaForCausalLM.from_pretrained(folder)


def load_tokenizer(folder: Path, texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """The tokenizer of an earlier, unfinished run in `folder`, else a new one, trained on `texts` and saved there."""
    if not (folder / "tokenizer.json").exists():
        tokenizer.train(_pages(texts)).save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def _pages(texts: Sequence[str]) -> Iterator[str]:
    """Pages for the tokenizer: of the six novels, which come first, all twice; of other long texts all, else one."""
    rng = random.Random(0)
    for number, text in enumerate(texts):
        most = 700_000 if number < NOVELS or len(text) > 370_000 else 15_000
        for start in range(0, min(len(text), most), 20_000):
            for _ in range(2 if number < NOVELS else 1):
                yield corpus.vary(text[start : start + 20_000], rng)


def _number(overrides: dict[str, str], name: str, default: float) -> float:
    given = overrides.get(name, str(default))
    try:
        return float(given)
    except ValueError:
        raise UsageError(f"{name}={given} is no number", fix=f"write {name}={default:g}") from None
