"""IoTSense: a digital-twin-centric graph service for plants."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import AsyncIoTSense, IoTSense

__version__ = "0.2.0"
__all__ = ["AsyncIoTSense", "IoTSense", "__version__"]


def __getattr__(name: str) -> Any:
    # The SDK brings httpx along; `import iotsense` alone must stay quick, so it is loaded when first named.
    if name in ("IoTSense", "AsyncIoTSense"):
        from . import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
