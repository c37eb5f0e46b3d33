"""Stack traces in logs: which lines they are, where the program was, and what it said."""

import pytest

from resile.health.ends import TraceKind, find_trace, read_last_words
from resile.health.ends.reading import LINES_BEHIND_MAX
from resile.health.ends.traces import FRAMES_MAX, LINE_LENGTH_MAX, TRACE_LINES_MAX

UNCAUGHT = """\
Traceback (most recent call last):
  File "/srv/app/main.py", line 6, in outer
    inner(1)
  File "/srv/app/db.py", line 3, in inner
    raise ValueError("boom 12")
           ^^^^^^^^^^^^^^^^^^^^
ValueError: boom 12
"""
CHAINED = (
    UNCAUGHT
    + """
The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/srv/app/main.py", line 10, in <module>
    outer()
  File "/srv/app/main.py", line 8, in outer
    raise RuntimeError("wrapped") from e
RuntimeError: wrapped
"""
)
GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "/srv/app/main.py", line 14, in <module>
  |     f()
  |   File "/srv/app/main.py", line 13, in f
  |     raise ExceptionGroup("many", [ValueError("a")])
  | ExceptionGroup: many (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/srv/app/other.py", line 1, in g
    | ValueError: a
    +------------------------------------
"""
FATAL = """\
Fatal Python error: Segmentation fault

Thread 0x00007f0e32ac56c0 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 982 in run

Current thread 0x00007f0e33600b80 [main] (most recent call first):
  File "/srv/app/main.py", line 17 in crash
  File "/srv/app/main.py", line 18 in <module>

Extension modules: numpy.core, yaml (total: 2)
"""


def lines(text: str) -> list[str]:
    return text.splitlines()


def test_log_without_a_trace_has_none() -> None:
    assert find_trace([]) is None
    assert find_trace(["request 1", "request 2", "  indented"]) is None


def test_uncaught_exception_is_cut_out_of_the_log() -> None:
    log = ["before", *lines(UNCAUGHT), "after"]

    trace = find_trace(log)

    assert trace is not None
    assert trace.kind is TraceKind.UNCAUGHT
    assert list(trace.lines) == lines(UNCAUGHT)
    assert trace.error == "ValueError: boom 12"
    assert trace.frames == ("app/db.py:inner", "app/main.py:outer")
    assert (trace.start, trace.left) == (1, 1)


def test_of_linked_exceptions_the_last_one_ended_the_program() -> None:
    trace = find_trace(lines(CHAINED))

    assert trace is not None
    assert trace.error == "RuntimeError: wrapped"
    assert trace.frames == ("app/main.py:outer", "app/main.py:<module>")
    assert list(trace.lines) == lines(CHAINED)


def test_exception_group_is_one_trace() -> None:
    trace = find_trace([*lines(GROUP), "after"])

    assert trace is not None
    assert trace.error == "ExceptionGroup: many (1 sub-exception)"
    assert trace.frames[-2:] == ("app/main.py:f", "app/main.py:<module>")
    assert trace.left == 1


def test_place_is_the_programs_own_where_a_library_failed() -> None:
    deep = FATAL.replace(
        '  File "/srv/app/main.py", line 17 in crash',
        '  File "/usr/lib/python3.11/socket.py", line 1 in recv\n'
        '  File "/srv/app/main.py", line 17 in crash',
    )

    trace = find_trace(lines(deep))

    assert trace is not None
    assert trace.frames[0] == "python3.11/socket.py:recv"
    assert trace.place == "app/main.py:crash"


def test_place_is_a_librarys_where_all_frames_are() -> None:
    trace = find_trace(
        ["Traceback (most recent call last):", '  File "/usr/lib/python3/a.py", line 1, in f', "E"]
    )

    assert trace is not None
    assert trace.place == "python3/a.py:f"


def test_what_faulthandler_writes_is_read_from_the_thread_that_failed() -> None:
    trace = find_trace(["before", *lines(FATAL), "after"])

    assert trace is not None
    assert trace.kind is TraceKind.FATAL
    assert trace.frames == ("app/main.py:crash", "app/main.py:<module>")
    assert trace.error == ""
    assert trace.left == 1


def test_fatal_error_of_the_interpreter_is_told() -> None:
    log = lines(FATAL.replace("Segmentation fault", "Cannot recover from stack overflow."))

    trace = find_trace(log)

    assert trace is not None
    assert trace.error == "Cannot recover from stack overflow."


def test_dump_whose_head_is_cut_off_is_found() -> None:
    trace = find_trace(lines(FATAL)[2:])

    assert trace is not None
    assert trace.kind is TraceKind.DUMP
    assert trace.frames[0] == "app/main.py:crash"


def test_last_trace_counts() -> None:
    trace = find_trace([*lines(UNCAUGHT), "went on", *lines(FATAL)])

    assert trace is not None
    assert trace.kind is TraceKind.FATAL


def test_what_the_interpreter_ignored_at_its_end_hides_nothing() -> None:
    ignored = ["Exception ignored in: <function A.__del__>", *lines(CHAINED)]

    trace = find_trace([*lines(UNCAUGHT), *ignored])

    assert trace is not None
    assert trace.error == "ValueError: boom 12"


def test_traceback_that_was_cut_off_has_no_error() -> None:
    trace = find_trace(lines(UNCAUGHT)[:-1])

    assert trace is not None
    assert trace.error == ""
    assert trace.frames[0] == "app/db.py:inner"


@pytest.mark.parametrize("cut", range(len(lines(CHAINED + GROUP + FATAL)) + 1))
def test_no_cut_of_a_log_is_an_error(cut: int) -> None:
    log = lines(CHAINED + GROUP + FATAL)

    find_trace(log[:cut])
    find_trace(log[cut:])


def test_trace_is_bounded() -> None:
    deep = [f'  File "/a/b.py", line {n}, in f{n}' for n in range(500)]
    log = ["Traceback (most recent call last):", *deep, "x" * 1000]

    trace = find_trace(log)

    assert trace is not None
    assert len(trace.lines) == TRACE_LINES_MAX
    assert max(map(len, trace.lines)) == LINE_LENGTH_MAX
    assert len(trace.frames) == FRAMES_MAX
    assert trace.frames[0] == "a/b.py:f499"


def test_recursion_is_one_frame() -> None:
    deep = ['  File "/a/b.py", line 1, in f', "    f()"] * 3
    log = ["Traceback (most recent call last):", '  File "/a/c.py", line 1, in g', *deep, "E"]

    trace = find_trace(log)

    assert trace is not None
    assert trace.frames == ("a/b.py:f", "a/c.py:g")


# What it says of the end --------------------------------------------------------------------------


def test_exception_at_the_end_of_the_log_explains_an_exit_code() -> None:
    words = read_last_words(lines(UNCAUGHT), exit_code=1, signal="")

    assert words.error == "ValueError: boom 12"
    assert words.place == "app/db.py:inner"


def test_exception_of_long_ago_was_caught() -> None:
    log = [*lines(UNCAUGHT), *["request"] * (LINES_BEHIND_MAX + 1)]

    words = read_last_words(log, exit_code=1, signal="")

    assert (words.error, words.frames) == ("", ())
    assert words.trace is not None


def test_what_somebody_else_killed_is_not_explained_by_what_it_wrote() -> None:
    words = read_last_words([*lines(UNCAUGHT), "error: x"], exit_code=None, signal="SIGKILL")

    assert (words.error, words.frames) == ("", ())


def test_dump_of_a_signal_of_its_own_tells_the_place() -> None:
    words = read_last_words(lines(FATAL), exit_code=None, signal="SIGSEGV")

    assert words.frames == ("app/main.py:crash", "app/main.py:<module>")
    assert words.error == ""


def test_what_gave_up_has_said_why_before_its_stack() -> None:
    log = ["free(): double free detected", "double free or corruption (out)"]
    log += lines(FATAL.replace("Segmentation fault", "Aborted"))

    words = read_last_words(log, exit_code=None, signal="SIGABRT")

    assert words.error == "double free or corruption (out)"
    assert words.place == "app/main.py:crash"


def test_hang_is_told_by_the_stack_and_not_by_complaints() -> None:
    log = ["error: of long ago", *lines(FATAL.replace("Segmentation fault", "Aborted"))]

    words = read_last_words(log, exit_code=None, signal="SIGKILL", is_hang=True)

    assert words.error == ""
    assert words.place == "app/main.py:crash"


def test_program_without_a_trace_is_told_by_its_last_complaint() -> None:
    log = ["Error: address in use", "closing", "bye"]

    words = read_last_words(log, exit_code=1, signal="")

    assert words.error == "Error: address in use"


def test_good_end_is_told_by_nothing() -> None:
    assert read_last_words(lines(UNCAUGHT), exit_code=0, signal="").error == ""
