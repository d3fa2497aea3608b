"""The embedded history passes the contract of all histories."""

from contextlib import asynccontextmanager

import pytest
from history_store_contract import HistoryContract

from iotsense.twin.store_embedded import EmbeddedHistory
from iotsense.twin.twin import Twin


class TestContract(HistoryContract):
    """Late data, corrections, as_of and known_at, new names, restarts."""

    @pytest.fixture
    def attached(self):
        @asynccontextmanager
        async def attach(twin: Twin):
            async def settle() -> None:
                twin.catch_up()

            yield EmbeddedHistory(twin), settle

        return attach
