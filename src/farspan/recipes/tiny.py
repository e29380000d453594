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
    "random_quotes": 0.14,
    "copy": 0.04,
    "quotes": 0.22,
    "tangled_quotes": 0.08,
    "needle": 0.08,
    "single_needle": 0.02,
    "key_value": 0.11,
    "hex_keys": 0.05,
    "variables": 0.09,
    "several": 0.09,
    "biographies": 0.08,
}
OVERRIDES = ("corpus", "hours", "seed", "threads")


def config(*, seed: int = 0, threads: int = 2, scale: float = 1.0) -> train.Config:
    """The bundled model's training run; `scale` multiplies the time of every stage."""
    stages = ((128, 240, 0.90), (256, 420, 0.93), (512, 600, 0.95), (1024, 2700, 2.0))
    return train.Config(
        shares=SHARES,
        stages=tuple(
            train.Stage(length=length, seconds=seconds * scale, mastery=mastery) for length, seconds, mastery in stages
        ),
        seed=seed,
        threads=threads,
    )


def run(*, out: Path, overrides: dict[str, str], log: Callable[[str], None]) -> None:
    """Train the tokenizer and the model; leave the model in `out / "model"` and the resumable state beside it."""
    unknown = sorted(set(overrides) - set(OVERRIDES))
    if unknown:
        raise UsageError(f"the recipe tiny has no setting {unknown[0]!r}", fix=nearest(unknown[0], OVERRIDES))
    seed = int(overrides.get("seed", "0"))
    settings = config(seed=seed, threads=int(overrides.get("threads", "2")))
    if "hours" in overrides:
        whole = sum(stage.seconds for stage in settings.stages) / 3600
        settings = replace(config(seed=seed, threads=settings.threads, scale=float(overrides["hours"]) / whole))
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
    """Pages for the tokenizer: of long texts many and twice over, of each short one a page, all varied."""
    rng = random.Random(0)
    for text in texts:
        most = 700_000 if len(text) > 370_000 else 15_000
        for start in range(0, min(len(text), most), 20_000):
            for _ in range(2 if len(text) > 400_000 else 1):
                yield corpus.vary(text[start : start + 20_000], rng)
