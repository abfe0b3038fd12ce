"""What the shells of all deployments share: a service, a step in its background, and an end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ray_apps.runtime.periodic import Periodic, Step, never

MAX_BACKOFF_S = 5.0
"""Longest wait of a follower whose step fails: what waits must not grow old when it works again."""


class Service(Protocol):
    """A plain object behind a deployment."""

    def failed(self, error: Exception) -> None:
        """A background step has failed and will be tried again."""

    async def close(self) -> None:
        """Let go what it holds."""


class Closable(Protocol):
    """What can be closed."""

    async def close(self) -> None:
        """Let go what it holds."""


class Replica:
    """Closes what it holds when Serve lets it go.

    Serve awaits `__del__` once, after the last request and before it ends the process; on an
    ingress only where it is a coroutine function.
    """

    _holds: tuple[Closable, ...] = ()

    def hold(self, *closables: Closable) -> None:
        """Close these at the end, in this order."""
        self._holds = closables

    def run(
        self,
        service: Service,
        step: Step,
        interval_s: float,
        *,
        max_backoff_s: float = MAX_BACKOFF_S,
        until: Callable[[], bool] = never,
    ) -> None:
        """Run the service's step in the background, and close the service at the end."""
        background = Periodic(
            step, interval_s, max_backoff_s=max_backoff_s, on_error=service.failed, until=until
        )
        self.hold(background, service)

    async def __del__(self) -> None:
        holds, self._holds = self._holds, ()
        for held in holds:
            await held.close()
