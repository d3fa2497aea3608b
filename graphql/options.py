"""What a service allows whoever asks over GraphQL."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .safelist import Safelist

MAX_COST = 1_000_000
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Options:
    """max_cost: what a question may cost by its estimate (some 3 µs each). timeout: how long it may take [s].

    introspection: whether the schema can be asked for. safelist: the only texts that are answered; None: all are.
    """

    max_cost: int = MAX_COST
    timeout: float = TIMEOUT_S
    introspection: bool = True
    safelist: "Safelist | None" = None


DEFAULTS = Options()
