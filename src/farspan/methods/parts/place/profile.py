"""How much every head of a model was seen to retrieve, measured once and kept in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from farspan.errors import MethodError

MEASURE = "measure one: farspan eval heads -m MODEL -o heads.json"


@dataclass(frozen=True, slots=True)
class HeadScore:
    """A query head's score, 0 to 1, by its layer's number in the model."""

    layer: int
    head: int
    score: float


@dataclass(frozen=True, slots=True)
class HeadProfile:
    """The scores of a model's heads, highest first. One without a `fingerprint` is taken for any model."""

    heads: tuple[HeadScore, ...]
    model: str = ""
    fingerprint: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The profile as plain values for JSON."""
        return asdict(self) | {"heads": [asdict(one) for one in self.heads]}

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(self.as_dict(), indent=1) + "\n", encoding="utf-8")

    def of_kv_heads(self, group: int) -> Mapping[tuple[int, int], float]:
        """The score of every KV head, by layer and head: that of its highest query head, of which it has `group`."""
        scores: dict[tuple[int, int], float] = {}
        for one in self.heads:
            at = one.layer, one.head // group
            scores[at] = max(one.score, scores.get(at, 0.0))
        return scores


def load_profile(path: str) -> HeadProfile:
    """Read a profile. Raises MethodError when there is none, or it is none."""
    if not path:
        raise MethodError("no profile says which heads retrieve", fix=MEASURE)
    try:
        plain = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
        heads = tuple(HeadScore(int(one["layer"]), int(one["head"]), float(one["score"])) for one in plain["heads"])
        return HeadProfile(heads, str(plain.get("model", "")), str(plain.get("fingerprint", "")))
    except OSError as error:
        raise MethodError(f"{path} cannot be read: {error.strerror}", fix=MEASURE) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise MethodError(f"{path} is no profile of heads", fix=MEASURE) from error
