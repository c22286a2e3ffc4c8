"""Answers that begin in time."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alpharay.signals.refusal import refuse


class TimeLimit:
    """Cancels the work of a request whose answer has not begun in time; a stream that has begun may go on."""

    def __init__(self, app: ASGIApp, limit_s: float) -> None:
        self._app = app
        self._limit_s = limit_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raises RefusedError when the time is over."""
        deadline = asyncio.timeout(self._limit_s)

        async def begin(message: Message) -> None:
            if message["type"] == "http.response.start":
                deadline.reschedule(None)
            await send(message)

        try:
            async with deadline:
                await self._app(scope, receive, begin)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise refuse(
                "timed_out",
                f"no answer within {self._limit_s:g} s; the work was cancelled",
                hint="ask for less at once, or try again",
                retry_after_s=1,
            ) from None
