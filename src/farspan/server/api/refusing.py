"""What OpenAI's clients may send and is not done here: refused with a message, unless it asks for nothing."""

from __future__ import annotations

from typing import Any

from pydantic import BeforeValidator, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

NO_TOOLS = "tools and functions are not called here: leave it out, and let the client call them by what is written"
NO_BIAS = "tokens cannot be made more or less likely here: leave it out, or set temperature and top_p"
ONE_ANSWER = "one answer is written to each request: leave it out, and send the request again for another"
ONLY_TEXT = "only text is written: leave it out"
ONLY_TEXT_READ = "only text is read here, and files that hold text: leave out what is of type {value}"
ONLY_MESSAGES = "only messages are read here, and text in them: leave out what is of type {value}"


def refused(message: str, *neutral: Any) -> BeforeValidator:
    """Makes a member None that is empty, false or one of the `neutral` values, and an error of any other."""

    def check(value: Any) -> None:
        if value and value not in neutral:
            raise PydanticCustomError("unsupported", message)

    return BeforeValidator(check)


def known(message: str) -> WrapValidator:
    """Makes an error with this message, which may name the `{value}`, of one that is none of those that are known."""

    def check(value: Any, inner: ValidatorFunctionWrapHandler) -> Any:
        try:
            return inner(value)
        except ValidationError:
            raise PydanticCustomError("unsupported", message, {"value": repr(value)[:40]}) from None

    return WrapValidator(check)
