"""What tests of a run share: the bundled tokenizer, a mix without prose, and a model whose steps take no time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from farspan import models
from farspan.recipes.mix import Mix
from farspan.recipes.shapes import Shape

SMALL = Shape(width=64, head=32, mlp=32, fast=8, plan=({}, {}))
FAMILIES = {"needle": 0.5, "copy": 0.5}
BUNDLED = Path(models.__path__[0]) / "tiny"


@pytest.fixture(scope="session")
def words() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(BUNDLED)


@pytest.fixture(scope="session")
def small_mix(words: PreTrainedTokenizerFast) -> Mix:
    return Mix(words, [], FAMILIES)


@pytest.fixture
def make() -> Callable[[int], LlamaForCausalLM]:
    """The small model, by seed."""

    def made(seed: int) -> LlamaForCausalLM:
        torch.manual_seed(seed)
        return LlamaForCausalLM(SMALL.config(4096))

    return made
