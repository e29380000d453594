"""`/mcp`: the tools by streamable HTTP, for the same keys as the other routes, each with its own sessions and files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from farspan.server.api.state import State, owner
from farspan.server.asked import Loading
from farspan.server.mcp.serving import Context, remote_cards, server
from farspan.server.mcp.tools import Tools


class Endpoint:
    """An ASGI application. The guard around it has seen to hosts, origins and the size of requests."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._server = server(remote_cards(Tools(state)), _owner)
        self._manager: StreamableHTTPSessionManager | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take requests in here; what is under way in the end is stopped."""
        manager = StreamableHTTPSessionManager(self._server, max_request_body_size=self._state.settings.body)
        async with manager.run():
            self._manager = manager
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. A key can go on only with conversations that it has begun."""
        request = Request(scope, receive)
        who = owner(request, None)
        if self._manager is None:
            raise Loading("the server has not begun yet", fix="send it again later")
        user = AuthenticatedUser(AccessToken(token="", client_id=who, scopes=[]))
        await self._manager.handle_request({**scope, "user": user}, receive, send)


def _owner(context: Context) -> str:
    assert context.request is not None, "a request over HTTP comes with its headers"
    name: str = context.request.user.username
    return name
