"""Rows of data sets on the Hugging Face Hub, by the `datasets` package; none of a data set's own code is ever run."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from farspan.errors import InputError, UsageError

_OLDEST = 4
_FIX = "pip install -U datasets"


def rows(repo: str, name: str | None, split: str | None) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    """The rows of a data set, each with its split and its number in it; the split `test` where none is asked for.

    Without a split of that name, all of them follow one another. Raises UsageError when `datasets` is missing or so
    old that it would run a data set's code, InputError when the data set cannot be loaded.
    """
    for part, held in _splits(repo, name, split):
        for number, row in enumerate(held, 1):
            yield part, number, row


def configurations(repo: str) -> list[str]:
    """The names of a data set's configurations. Raises as `rows` does."""
    datasets = _package()
    try:
        return list(datasets.get_dataset_config_names(repo))
    except Exception as error:
        raise _not_loaded(repo, error) from error


def _splits(repo: str, name: str | None, split: str | None) -> list[tuple[str, Any]]:
    datasets = _package()
    try:
        held = datasets.load_dataset(repo, name, split=split)
    except Exception as error:
        raise _not_loaded(repo, error) from error
    if split is not None:
        return [(split, held)]
    return [("test", held["test"])] if "test" in held else list(held.items())


def _not_loaded(repo: str, error: Exception) -> InputError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return InputError(f"hub:{repo} cannot be loaded: {reason}", fix="fetch its files, and give their folder")


def _package() -> Any:
    try:
        datasets = importlib.import_module("datasets")
    except ImportError as error:
        raise UsageError("data sets on the Hub need a package that is missing", fix="pip install datasets") from error
    version = str(getattr(datasets, "__version__", "0"))
    if int(version.split(".")[0]) < _OLDEST:
        raise UsageError(f"datasets {version} may run the code of data sets, version {_OLDEST} does not", fix=_FIX)
    return datasets
