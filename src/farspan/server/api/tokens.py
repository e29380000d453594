"""`POST /tokenize`, `POST /detokenize` and `GET /tokenizer_info`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from farspan.errors import InputError
from farspan.server.api.bodies import DetokenizeBody, TokenizeBody
from farspan.server.api.state import Owner, TheService

router = APIRouter(tags=["tokens"])


@router.post("/tokenize")
def tokenize(body: TokenizeBody, _: Owner, service: TheService) -> dict[str, Any]:
    """The token ids of a text."""
    text = body.content if body.content is not None else body.prompt
    if text is None:
        raise InputError("there is nothing to tokenize", fix="send content")
    tokens = service.model.encode_raw(text, first=bool(body.add_special_tokens))
    return {"tokens": tokens, "count": len(tokens), "max_model_len": service.model.window}


@router.post("/detokenize")
def detokenize(body: DetokenizeBody, _: Owner, service: TheService) -> dict[str, Any]:
    """The text of token ids."""
    service.model.check_ids(body.tokens)
    text = service.model.tokenizer.decode(body.tokens)
    return {"content": text, "prompt": text}


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
