"""Measure a running `farspan serve` with EleutherAI's lm-eval, without a network: `python scripts/lm_eval_check.py`.

lm-eval wants other versions of many packages than farspan's tests, so it lives in an environment of its own:

    python -m venv /tmp/lmeval && /tmp/lmeval/bin/pip install "lm-eval[api]" transformers
    python scripts/lm_eval_check.py --lm-eval /tmp/lmeval/bin/lm_eval

Two tasks are written to a temporary folder, on texts twice as long as the window of the bundled model: one is
chosen by likelihood, one is written. Each is run with the tokenizer that the server has and with the same one from a
folder. The results are printed; the exit status is 1 where less than nine of ten are right.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.request import urlopen

COLOURS = "amber copper silver golden violet scarlet ivory crimson".split()
THINGS = "castle lantern bridge garden tower market forest harbour".split()
ENOUGH = 0.9
_SHARED = """
dataset_path: json
dataset_kwargs:
  data_files:
    test: {questions}
test_split: test
doc_to_text: "<|begin|>{{{{text}}}}\\n\\n{{{{question}}}}<|assistant|>"
target_delimiter: " "
metadata:
  version: 1
"""
_TASKS = {
    "farspan_choice": """
output_type: multiple_choice
doc_to_choice: "{{choices}}"
doc_to_target: "{{choices.index(answer)}}"
metric_list:
  - metric: acc
""",
    "farspan_write": """
output_type: generate_until
doc_to_target: "{{answer}}"
generation_kwargs:
  until: ["\\n"]
  max_gen_toks: 12
metric_list:
  - metric: exact_match
filter_list:
  - name: stripped
    filter:
      - function: remove_whitespace
      - function: take_first
""",
}


def questions(count: int, paragraphs: int) -> list[dict[str, Any]]:
    """Texts with a number in each, and what is asked about it."""
    drawn = random.Random(0)
    found = []
    for _ in range(count):
        name = f"{drawn.choice(COLOURS)} {drawn.choice(THINGS)}"
        numbers = [str(number) for number in drawn.sample(range(10_000, 100_000), 3)]
        lines = [
            f"On day {drawn.randrange(9_000)} the keeper walked along the shore. The wind came from the north and the "
            f"boats stayed in the harbour. Somebody counted the gulls on the wall and wrote it in a book."
            for _ in range(paragraphs)
        ]
        lines.insert(drawn.randrange(len(lines)), f"The number of the {name} is {numbers[0]}.")
        question = {"text": "\n\n".join(lines), "question": f"What is the number of the {name}?"}
        found.append({**question, "answer": numbers[0], "choices": drawn.sample(numbers, 3)})
    return found


def write_tasks(folder: Path, count: int, paragraphs: int) -> None:
    """The tasks and their questions."""
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in questions(count, paragraphs)), encoding="utf-8")
    for name, own in _TASKS.items():
        text = f"task: {name}\n{_SHARED.format(questions=path)}{own}"
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def begin(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """A server at a free port, and its address, once it answers."""
    command = [sys.executable, "-m", "farspan", "serve", "--port", "0", "--folder", str(folder), "--budget", "64MiB"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    first = process.stderr.readline()
    found = re.search(r"http://\S+", first)
    if found is None:
        raise SystemExit(first + process.stderr.read())
    while process.poll() is None and not _is_up(found[0]):
        time.sleep(0.5)
    return process, found[0]


def _is_up(url: str) -> bool:
    try:
        with urlopen(f"{url}/health") as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def measure(lm_eval: str, tasks: Path, url: str, tokenizer: str) -> dict[str, Any]:
    """Run both tasks, print lm-eval's table, and give its results."""
    options = f"base_url={url}/v1/completions,model=farspan-tiny,max_length=1000000,{tokenizer}"
    options += ",num_concurrent=2"
    out = tasks / "out"
    command = [lm_eval, "run", "--model", "local-completions", "--model_args", options, "--batch_size", "2"]
    more = ["--include_path", str(tasks), "--tasks", ",".join(_TASKS), "--output_path", str(out)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    subprocess.run([*command, *more], check=True, env=environment)
    latest = max(out.rglob("results_*.json"), key=lambda path: path.stat().st_mtime)
    results: dict[str, Any] = json.loads(latest.read_text(encoding="utf-8"))["results"]
    return results


def main() -> int:
    """Measure, and say whether enough was right."""
    parser = argparse.ArgumentParser(description="Measure farspan serve with lm-eval, without a network.")
    parser.add_argument("--lm-eval", default="lm_eval", help="lm-eval's program")
    parser.add_argument("--questions", type=int, default=10, help="how many questions each task has")
    parser.add_argument("--paragraphs", type=int, default=40, help="how long the texts are; 40 are some 2,400 tokens")
    given = parser.parse_args()
    model = files("farspan.models") / "tiny"
    enough = True
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_tasks(folder, given.questions, given.paragraphs)
        process, url = begin(folder / "server")
        try:
            for tokenizer in ("tokenizer_backend=remote", f"tokenizer_backend=huggingface,tokenizer={model}"):
                found = measure(given.lm_eval, folder, url, tokenizer)
                scores = [found["farspan_choice"]["acc,none"], found["farspan_write"]["exact_match,stripped"]]
                print(tokenizer, "chosen", scores[0], "written", scores[1])
                enough = enough and min(scores) >= ENOUGH
        finally:
            process.terminate()
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
