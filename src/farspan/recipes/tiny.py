"""farspan-tiny, the bundled model: 5.6M parameters that look things up in a window of 1,024 tokens.

    farspan train tiny -o DIR --set corpus=PROSE

PROSE is the folder that `farspan.recipes.corpus` describes. Settings: corpus; hours (of all stages together); seed;
threads; start (a model folder whose weights and tokenizer to go on from, instead of the constructed ones). Expect what
the model card says after HOURS of two cores, about 8M tokens.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from farspan.errors import UsageError, nearest
from farspan.recipes import corpus, initialise, layout, starting, tokenizer, train, trainable
from farspan.recipes.holding import MODEL, STATE, TOKENIZER, held
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
    seed, threads = _whole(overrides, "seed", 0, 0, 2**31 - 1), _whole(overrides, "threads", 2, 1, 1024)
    hours = _hours(overrides)
    settings = config(seed=seed, threads=threads, scale=hours / HOURS)
    start = Path(overrides["start"]).resolve() if "start" in overrides else None
    texts = corpus.texts(Path(overrides.get("corpus", "corpus")))
    begun_with = {"corpus": corpus.name(texts), "hours": f"{hours:g}", "seed": str(seed)}
    if start:
        begun_with["start"] = str(start)
    with held(out):
        words, model = _beginning(out, texts, start, seed, log)
        begun_with["tokenizer"] = starting.digest(words)
        settings = replace(settings, trained=trainable.shares(Shape()), begun_with=begun_with)
        train.run(settings, model, words, Mix(words, texts, settings.shares), out=out, log=log)


def _beginning(
    out: Path, texts: Sequence[str], start: Path | None, seed: int, log: Callable[[str], None]
) -> tuple[PreTrainedTokenizerFast, LlamaForCausalLM]:
    """The tokenizer, which is kept in `out`, and the weights to begin with; a run that is resumed brings its own."""
    shape, kept = Shape(), out / TOKENIZER
    begun = (out / STATE).exists()
    if start and not begun:
        model, words = starting.model_in(start, shape), starting.tokenizer_in(start)
        starting.keep_tokenizer(words, kept)
        return words, model
    if not begun and not kept.exists():
        log(f"training the tokenizer on {len(texts)} texts, which takes a minute or more")
        starting.keep_tokenizer(tokenizer.train(_pages(texts)), kept)
    words = starting.tokenizer_in(
        kept, fix=f"copy its files from {out / MODEL}" if begun else "remove that folder, and another is trained"
    )
    if begun:
        return words, LlamaForCausalLM(shape.config(len(words)))
    space, quote = (words.backend_tokenizer.encode(text, add_special_tokens=False).ids[0] for text in (" ", '"'))
    marks = layout.Marks(begin=0, answer=2, space=space, quote=quote)
    return words, initialise.model(shape, marks, tokenizer.spellings(words), seed=seed)


def _pages(texts: Sequence[str]) -> Iterator[str]:
    """Pages for the tokenizer: of the six novels, which come first, all twice; of other long texts all, else one."""
    rng = random.Random(0)
    for number, text in enumerate(texts):
        most = 700_000 if number < NOVELS or len(text) > 370_000 else 15_000
        for start in range(0, min(len(text), most), 20_000):
            for _ in range(2 if number < NOVELS else 1):
                yield corpus.vary(text[start : start + 20_000], rng)


def _hours(overrides: dict[str, str]) -> float:
    given = overrides.get("hours", str(HOURS))
    with suppress(ValueError):
        if 0.0 < float(given) < math.inf:
            return float(given)
    raise UsageError(f"hours={given} is no time to train for", fix=f"write a number above 0, such as hours={HOURS:.2f}")


def _whole(overrides: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    given = overrides.get(name, str(default))
    with suppress(ValueError):
        if least <= int(given) <= most:
            return int(given)
    raise UsageError(
        f"{name}={given} is no whole number from {least} to {most:,}", fix=f"write one, such as {name}={default}"
    )
