"""The page on health endpoints says what is so: its examples run, one after the other."""

import re
import signal
from pathlib import Path
from typing import Any

from tests.support.probing import ask_wsgi

PAGE = Path(__file__).parents[4] / "docs" / "how-to" / "health-endpoints.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_examples_on_health_endpoints_run() -> None:
    page = PAGE.read_text()
    names: dict[str, Any] = {"__name__": "health_endpoints"}
    before = signal.getsignal(signal.SIGTERM)
    blocks = BLOCK.findall(page)
    try:
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), names)
        health = names["health"]
        told = ask_wsgi(health.wsgi(), "GET", "/health").json
        text = ask_wsgi(health.wsgi(), "GET", "/metrics").body.decode()
        health.close()
    finally:
        signal.signal(signal.SIGTERM, before)

    assert len(blocks) >= 7
    assert told["components"]["backlog"]["message"] == "1200 jobs wait"
    assert told["components"]["orders"]["status"] == "healthy"
    for name in re.findall(r"^\| `(shop_\w+)` \|", page, re.MULTILINE):
        assert f"# TYPE {name} gauge\n" in text
    assert 'shop_queue_jobs{queue="mail"} 7\n' in text
