"""Notices changes of a plugin directory."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

from colugo.errors import ConfigurationError

try:
    import watchfiles
except ImportError:  # the extra `colugo[distributor]`
    watchfiles = None  # type: ignore[assignment]

_LOGGER = logging.getLogger(__name__)
_POLL_MS = 1000
NEEDS_WATCHFILES = "watching a plugin directory needs watchfiles: pip install 'colugo[distributor]'"
CAN_WATCH = watchfiles is not None
"""True if watchfiles is installed."""


async def watch(path: Path, reload: Callable[[], Awaitable[None]]) -> None:
    """Call a function after each change of a directory's Python files, until the task is cancelled.

    It is also called every second, for file systems without notifications. If it runs when the task is
    cancelled, the task ends after it.

    Raises:
        ConfigurationError: if watchfiles is not installed.
    """
    if watchfiles is None:
        raise ConfigurationError(NEEDS_WATCHFILES)
    changes = watchfiles.awatch(
        path, watch_filter=watchfiles.PythonFilter(), rust_timeout=_POLL_MS, yield_on_timeout=True
    )
    async with aclosing(changes):
        async for _ in changes:
            reloading = asyncio.ensure_future(reload())
            try:
                await asyncio.shield(reloading)
            except asyncio.CancelledError:  # a target that is half exchanged would not be closed
                await asyncio.wait([reloading])
                raise
            except Exception:
                _LOGGER.exception("the plugins of %s cannot be loaded again", path)
