"""Degraded operation to look at: source 002's database, several at once, and hostile texts."""

from tests.unit.web import scenes

from resile.testing.view import FakeSystemView

LOST = "Database connection lost. Using cached security policies. Some features unavailable."


def database_lost() -> FakeSystemView:
    view = scenes.all_up()
    view.degradation.put("database", LOST)
    return view


def several() -> FakeSystemView:
    """Two processes that say the same, another with something worse, and one outside of a system."""
    view = database_lost()
    view.degradation.put("database", LOST, key=2, pid=4313)
    view.degradation.put(
        "scanner",
        "scanner does not answer, and nothing answers in its place: RuntimeError: worker died",
        state="CRITICAL",
        key=3,
        pid=4400,
        service="scanner",
    )
    view.degradation.put("network", "Sent later.", key=4, pid=4500, service="", program="mail.py")
    return view


def hostile() -> FakeSystemView:
    view = scenes.all_up()
    view.degradation.put(scenes.HOSTILE, "x" * 500 + scenes.HOSTILE, service="", program="")
    view.degradation.put("a\u202eb\x00", "\u2066gone\x1b[2J", state="CRITICAL", key=2)
    return view
