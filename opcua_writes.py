"""Writes of clients: what may be set becomes a command, everything else is refused."""

from typing import Any

from asyncua import ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import AttributeService

from .ingest.commands import Commands
from .opcua_space import Space
from .twin.audit_trail import Asking, AuditTrail
from .twin.command import Asked
from .twin.errors import ConflictError, InvalidValueError, IoTSenseError, NotFoundError
from .twin.twin import Twin

ORIGIN = "opcua"
_REFUSALS: tuple[tuple[type[IoTSenseError], Any], ...] = (
    (NotFoundError, ua.StatusCodes.BadNodeIdUnknown),
    (InvalidValueError, ua.StatusCodes.BadOutOfRange),
    (ConflictError, ua.StatusCodes.BadInvalidState),
    (IoTSenseError, ua.StatusCodes.BadResourceUnavailable),
)


class Writes(AttributeService):  # type: ignore[misc]
    """Stands in for the server's own way, which would let clients change what the server shows.

    commands: takes in what named users set; None if nobody may set anything. trail: records it.
    """

    def __init__(
        self, space: Space, attributes: Any, commands: Commands | None, twin: Twin, trail: AuditTrail | None = None
    ) -> None:
        super().__init__(attributes)
        self._space = space
        self._commands = commands
        self._twin = twin
        self._trail = trail

    async def write(self, params: ua.WriteParameters, user: User | None = None) -> list[ua.StatusCode]:
        """A status for each: GoodCompletesAsynchronously for a command that is taken in, and durable."""
        if user is None or user.role is UserRole.Admin:
            written: list[ua.StatusCode] = await super().write(params)
            return written
        return [ua.StatusCode(await self._set(each, user)) for each in params.NodesToWrite]

    async def _set(self, wanted: ua.WriteValue, user: User) -> Any:
        if wanted.NodeId not in self._aspace:
            return ua.StatusCodes.BadNodeIdUnknown
        signal = self._space.signal_at(wanted.NodeId)
        if self._commands is None or signal is None or wanted.AttributeId != ua.AttributeIds.Value:
            return ua.StatusCodes.BadNotWritable
        if not self._space.items.settable(self._space.graph.node(signal.node), signal):
            return ua.StatusCodes.BadNotWritable
        if user.name is None:
            return ua.StatusCodes.BadUserAccessDenied
        value = wanted.Value.Value.Value if wanted.Value.Value is not None else None
        if not isinstance(value, bool | int | float | str):
            return ua.StatusCodes.BadTypeMismatch
        asked = Asked(self._space.graph.signal_id(signal), value, actor=user.name, origin=ORIGIN)
        try:
            await self._take(self._commands, asked)
        except IoTSenseError as error:
            return next(code for kind, code in _REFUSALS if isinstance(error, kind))
        return ua.StatusCodes.GoodCompletesAsynchronously

    async def _take(self, commands: Commands, asked: Asked) -> None:
        if self._trail is None:
            await commands.set(asked)
            return
        asking = Asking(f"OPC UA user {asked.actor}", ORIGIN, "opcua write", asked.signal, {"value": asked.value})
        await self._trail.setting(asking, self._twin, asked.signal, lambda: commands.set(asked))
