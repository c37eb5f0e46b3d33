"""One life of a brain, with a guard that does what the test wants."""

import asyncio
import json
from pathlib import Path

from tests.support.braining import living, wait_until


def test_a_wanted_end_that_left_a_core_has_a_bundle(tmp_path: Path) -> None:
    """A core that no bundle names would never be removed."""

    async def scenario() -> int:
        async with living(tmp_path, '[service.a]\ncommand = ["true"]\n') as life:
            await wait_until("the start", lambda: life.recorded("process.started"))
            return await life.stop()

    assert asyncio.run(scenario()) == 0
    (bundle,) = (tmp_path / ".resile" / "crashes").glob("*.json")
    assert json.loads(bundle.read_text())["exit"]["signal"] == "SIGQUIT"
