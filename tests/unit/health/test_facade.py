"""What the import of the part loads."""

import subprocess
import sys

HEAVY = {"asyncio", "concurrent.futures", "http.client", "psycopg", "pydantic", "ssl", "subprocess"}


def test_import_is_light() -> None:
    code = "import sys, resile.health; print(*sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert HEAVY & set(done.stdout.split()) == set()
