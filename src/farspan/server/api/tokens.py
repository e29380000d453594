"""`POST /tokenize`, `POST /detokenize` and `GET /tokenizer_info`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from farspan.errors import InputError
from farspan.server.api.bodies import DetokenizeBody, TokenizeBody
from farspan.server.api.running import Running
from farspan.server.api.state import Owner, TheService, TheState
from farspan.server.counting import raw_ids
from farspan.server.listening import Listener

router = APIRouter(tags=["tokens"])


@router.post("/tokenize")
async def tokenize(body: TokenizeBody, request: Request, _: Owner, service: TheService, state: TheState) -> Any:
    """The token ids of a text."""
    text = body.content if body.content is not None else body.prompt
    if text is None:
        raise InputError("there is nothing to tokenize", fix="send content")

    def work(listener: Listener) -> JSONResponse:
        tokens = raw_ids(service.model, text, listener.check, first=bool(body.add_special_tokens))
        return JSONResponse({"tokens": tokens, "count": len(tokens), "max_model_len": service.model.window})

    return await Running(state.workers, work).result(request)


@router.post("/detokenize")
async def detokenize(body: DetokenizeBody, request: Request, _: Owner, service: TheService, state: TheState) -> Any:
    """The text of token ids."""

    def work(_: Listener) -> JSONResponse:
        service.model.check_ids(body.tokens)
        text = service.model.tokenizer.decode(body.tokens)
        return JSONResponse({"content": text, "prompt": text})

    return await Running(state.workers, work).result(request)


@router.get("/tokenizer_info")
def tokenizer_info(_: Owner, service: TheService) -> dict[str, Any]:
    """The tokenizer's special tokens and chat template, by vLLM's names: lm-eval then needs no tokenizer of its own."""
    tokenizer = service.model.tokenizer
    special = {name: getattr(tokenizer, name, None) for name in ("bos_token", "eos_token", "pad_token", "unk_token")}
    return {
        "tokenizer_class": type(tokenizer).__name__,
        **special,
        "chat_template": getattr(tokenizer, "chat_template", None),
        "model_max_length": service.model.window,
    }
