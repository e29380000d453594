"""`POST /v1/completions`: a text is continued as it stands, without a chat template."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request

from farspan.engine.likely import Likely
from farspan.errors import UsageError
from farspan.server.api.bodies import CompletionBody
from farspan.server.api.chunks import Shape, chunks, finish_reason
from farspan.server.api.info import check_model
from farspan.server.api.logprobs import of_text
from farspan.server.api.running import Running, usage
from farspan.server.api.sampling import sampling
from farspan.server.api.state import Owner, State, TheService, TheState
from farspan.server.api.streaming import EITHER, streamed
from farspan.server.asked import Answered, Asked
from farspan.server.listening import Listener
from farspan.server.service import Service

router = APIRouter(tags=["completions"])
_DEFAULT_TOKENS = 16


@router.post("/v1/completions", responses=EITHER)
async def complete(body: CompletionBody, request: Request, owner: Owner, service: TheService, state: TheState) -> Any:
    """Continue a prompt, or each of several; `echo` with `logprobs` gives the model's account of the prompt too."""
    check_model(body.model, service)
    most = _DEFAULT_TOKENS if body.max_tokens is None else max(body.max_tokens, 1)
    drawn = {**sampling(body, most, seed=body.seed, stop=body.stop), "logprobs": body.logprobs}
    options = body.farspan.options()
    all_asked = [Asked(owner=owner, prompt=prompt, sampling=drawn, options=options) for prompt in _prompts(body)]
    for asked in all_asked:
        service.check(asked)
    head = {"id": f"cmpl-{uuid.uuid4().hex}", "object": "text_completion", "created": int(time.time())}
    head["model"] = service.names[0]
    if body.stream:
        if len(all_asked) > 1 or body.echo:
            raise UsageError("only one prompt can be streamed, and without echo", fix="leave stream out")
        running = Running(state.workers, _work(service, body, all_asked[0]))
        return streamed(running, chunks(running, head, _shape(service, body), body, state))
    answers = [await _answer(service, body, asked, state, request) for asked in all_asked]
    choices = await asyncio.to_thread(_choices, service, body, answers)
    return {**head, "choices": choices, "usage": usage(*answers), "context": answers[-1].context()}


def _prompts(body: CompletionBody) -> Sequence[str | list[int]]:
    prompt = body.prompt
    if isinstance(prompt, str) or (prompt and isinstance(prompt[0], int)):
        return [prompt]
    if not prompt:
        raise UsageError("there is no prompt", fix="send a text, token ids, or a list of them")
    return prompt  # type: ignore[return-value]


def _work(service: Service, body: CompletionBody, asked: Asked) -> Callable[[Running], Answered]:
    """Who wants no token gets none; one is drawn, since an answer has one."""

    def work(listener: Listener) -> Answered:
        answered = (service.score if body.echo else service.answer)(asked, listener)
        nothing = {"text": "", "stopped": False, "completion_tokens": 0, "ids": (), "likely": ()}
        return answered if body.max_tokens != 0 else replace(answered, **nothing)  # type: ignore[arg-type]

    return work


def _shape(service: Service, body: CompletionBody) -> Shape:
    """How a chunk holds a piece; where its tokens stand in the text goes on from one to the next."""
    at = 0

    def shape(piece: str | None, likely: Sequence[Likely]) -> dict[str, Any]:
        nonlocal at
        begin, at = at, at + len(piece or "")
        if piece is None or body.logprobs is None:
            return {"text": piece or "", "logprobs": None}
        ids = [one.id for one in likely]
        return {"text": piece, "logprobs": of_text(service.model.tokenizer, ids, likely, begin)}

    return shape


async def _answer(service: Service, body: CompletionBody, asked: Asked, state: State, request: Request) -> Answered:
    answered: Answered = await Running(state.workers, _work(service, body, asked)).result(request)
    state.metrics.answered(answered)
    return answered


def _choices(service: Service, body: CompletionBody, answers: Sequence[Answered]) -> list[dict[str, Any]]:
    return [_choice(index, service, body, answered) for index, answered in enumerate(answers)]


def _choice(index: int, service: Service, body: CompletionBody, answered: Answered) -> dict[str, Any]:
    tokenizer = service.model.tokenizer
    prompt = tokenizer.decode(answered.prompt_ids) if body.echo else ""
    likely = [None, *answered.prompt_likely, *answered.likely] if body.echo else answered.likely
    ids = [*answered.prompt_ids, *answered.ids]
    return {
        "index": index,
        "text": prompt + answered.text,
        "logprobs": None if body.logprobs is None else of_text(tokenizer, ids, likely),
        "finish_reason": finish_reason(answered),
    }
