"""farspan-tiny, the bundled model: 3.4M parameters that look things up in a window of 1,024 tokens.

    farspan train tiny -o DIR --set corpus=PROSE

PROSE is the folder that `farspan.recipes.corpus` describes. Overrides: corpus, hours (of all stages), seed, threads.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from farspan.errors import UsageError, nearest
from farspan.recipes import corpus, initialise, layout, tokenizer, train
from farspan.recipes.mix import Mix

SHARES = {
    "random_quotes": 0.15,
    "copy": 0.03,
    "quotes": 0.26,
    "tangled_quotes": 0.12,
    "needle": 0.05,
    "single_needle": 0.01,
    "key_value": 0.16,
    "hex_keys": 0.07,
    "variables": 0.04,
    "several": 0.05,
    "biographies": 0.06,
}
HOURS = 0.8
NOVELS = 6
OVERRIDES = ("corpus", "hours", "seed", "threads")


def config(*, seed: int = 0, threads: int = 2, scale: float = 1.0) -> train.Config:
    """The bundled model's training run, HOURS long; `scale` multiplies the time of every stage."""
    plan = (
        train.Stage(length=128, seconds=150, mastery=0.95, rate=1.5e-3),
        train.Stage(length=256, seconds=420, mastery=0.97, rate=1.5e-3),
        train.Stage(length=512, seconds=480, mastery=0.98, rate=9e-4, strangers=0.8),
        train.Stage(length=1024, seconds=1800, mastery=2.0, rate=9e-4, strangers=0.8),
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
    words = load_tokenizer(out / "tokenizer", texts)
    mix = Mix(words, texts, settings.shares)
    marks = layout.Marks(begin=0, answer=2, space=mix.encode(" ")[0], quote=mix.encode('"')[0])
    model = initialise.model(layout.config(vocabulary=len(words)), marks, seed=seed)
    train.run(settings, model, words, mix, out=out, log=log)


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
