"""Reading `resile.toml`: what is right gives settings, what is wrong gives every fault with its place."""

from pathlib import Path

import pytest
from tests.unit.config.conftest import ISSUE_EXAMPLE

from resile.core.config import load_config
from resile.errors import ConfigError


def test_example_of_the_documentation_loads_with_units_resolved(load, tmp_path):
    config = load(ISSUE_EXAMPLE)

    service = config.service["dispatcher"]
    assert service.command == ("python", "-m", "agent_runtime.dispatcher")
    assert service.cwd == tmp_path
    assert service.ready is not None
    assert (service.ready.kind, service.ready.interval, service.ready.timeout) == ("http", 1, 1)
    assert service.ready.target == "http://127.0.0.1:8481/ready"
    assert service.live is not None
    assert (service.live.interval, service.live.fall, service.live.rise) == (5, 3, 2)
    assert service.depends_on == ("scanner", "reasoner")
    assert service.restart.backoff == (0.2, 10.0)
    assert (service.stop.signal, service.stop.signal_number, service.stop.drain) == ("TERM", 15, 5)
    assert (service.limits.memory, service.limits.cpu, service.limits.processes) == (2**29, 1.0, 64)


def test_empty_file_gives_the_defaults(load, tmp_path):
    config = load("")

    assert config.resile.name == tmp_path.name
    assert config.resile.state_dir == tmp_path / ".resile"
    assert (config.resile.http.host, config.resile.http.port) == ("127.0.0.1", 8470)
    assert (config.resile.budget.attempts, config.resile.budget.window) == (3, 1800)
    assert config.resile.stable == 1
    assert config.resile.log_bytes_max == 10 << 20
    assert config.service == {}


def test_paths_start_at_the_folder_of_the_file(load, tmp_path):
    config = load(
        '[service.a]\ncommand = ["x"]\ncwd = "sub"\nready = { unix = "run/a.sock" }\n'
        '[check.d]\ndisk = "/"\n[check.s]\nsqlite = "data/app.db"\n'
    )

    assert config.service["a"].cwd == tmp_path / "sub"
    assert config.service["a"].ready is not None
    assert config.service["a"].ready.target == str(tmp_path / "run/a.sock")
    assert config.check["d"].target == "/"
    assert config.check["s"].target == str(tmp_path / "data/app.db")


@pytest.mark.parametrize(
    ("place", "means"),
    [
        ("data/store", "{folder}/data/store"),
        ("/srv/store", "/srv/store"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("file:///srv/store", "file:///srv/store"),
        ("memory:", "memory:"),
        ("", ""),
    ],
)
def test_places_of_stores_start_at_the_folder_of_the_file(load, tmp_path, place, means):
    store = load(f'[store]\nplace = "{place}"\nreplica = "{place}"\n').store

    assert {store.place, store.replica} == {means.format(folder=tmp_path)}


def test_place_of_a_store_is_a_text(problems):
    (problem,) = problems("[store]\nplace = 5\n")

    assert 'store.place: 5 is not a path (write a text such as "data/app.db")' in problem


@pytest.mark.parametrize(
    ("table", "kind", "target"),
    [
        ('http = "https://example.org:8443/x?y=1"', "http", "https://example.org:8443/x?y=1"),
        ('tcp = "[::1]:80"', "tcp", "[::1]:80"),
        ('unix = "/run/x"', "unix", "/run/x"),
        ('command = ["true"]', "command", ""),
        ('file = "/f"\nage_max = "1h"', "file", "/f"),
        ('sqlite = "/s.db"', "sqlite", "/s.db"),
        ('postgres = "postgresql://a@h/d"', "postgres", "postgresql://a@h/d"),
        ('postgres = "host=h dbname=d"', "postgres", "host=h dbname=d"),
        ('process = "svc"\nrss_max = "1GiB"', "process", "svc"),
        ('disk = "/"\nfree_min = "5%"', "disk", "/"),
        ("memory = true\nfree_min = 1024", "memory", ""),
    ],
)
def test_system_check_of_each_kind(load, table, kind, target):
    config = load(f'[service.svc]\ncommand = ["x"]\n[check.c]\n{table}\n')

    assert (config.check["c"].kind, config.check["c"].target) == (kind, target)


def test_heartbeat_and_process_belong_to_liveness(load):
    config = load(
        '[service.a]\ncommand = ["x"]\nnotify = true\nlive = { heartbeat = "30s" }\n'
        '[service.b]\ncommand = ["x"]\nlive = { process = true, rss_max = "1GiB" }\n'
    )

    assert config.service["a"].live is not None
    assert (config.service["a"].live.kind, config.service["a"].live.heartbeat) == ("heartbeat", 30)
    assert config.service["b"].live is not None
    assert (config.service["b"].live.kind, config.service["b"].live.target) == ("process", "")


def test_default_timeout_is_never_longer_than_the_interval(load):
    config = load('[check.c]\ntcp = "h:1"\ninterval = "200ms"\n')

    assert config.check["c"].timeout == 0.2


def test_free_min_has_a_default_for_disk_and_memory_only(load):
    config = load('[check.d]\ndisk = "/"\n[check.m]\nmemory = true\n[check.t]\ntcp = "h:1"\n')

    assert [config.check[name].free_min for name in "dmt"] == [0.10, 0.05, None]


def test_digest_tells_two_configurations_apart_and_not_two_spellings(load):
    before = load('[service.a]\ncommand = ["x"]\nready_timeout = "60s"\n').digest

    assert load('[service.a]\nready_timeout = "1m"\ncommand = ["x"] # same\n').digest == before
    assert load('[service.a]\ncommand = ["y"]\n').digest != before


ONE_FAULT = [
    ("[resile]\nnmae = 'x'", '2: resile.nmae: unknown key (did you mean "name"?)'),
    ("[resile]\nstable = 'soon'", '2: resile.stable: "soon" is not a duration (write "250ms",'),
    ("[resile]\nstable = '2h'", "2: resile.stable: must be 0s to 1h, not 2h"),
    ("[resile]\nstable = true", "2: resile.stable: true is not a duration"),
    ("[resile]\nstable = []", "2: resile.stable: [] is not a duration"),
    ("[resile]\nlog_bytes_max = '1'", '2: resile.log_bytes_max: "1" is not a size'),
    ("[resile]\nlog_files_max = 2.5", "2: resile.log_files_max: must be a whole number, not 2.5"),
    ("[resile]\nlog_files_max = { a = 1 }", "must be a whole number, not a table"),
    ("[resile]\nlog_files_max = 0", "2: resile.log_files_max: must be at least 1"),
    ("[resile]\nname = 7", "2: resile.name: must be text in quotes, not 7"),
    ('[resile]\nname = "a\\u0007"', "2: resile.name: must be at most 100 printable"),
    ("[resile]\nhttp = 8470", "2: resile.http: must be a table such as { key = value }, not 8470"),
    ("[resile]\nhttp = { port = 65536 }", "2: resile.http.port: must be at most 65535"),
    ("[resile]\nhttp = { port = '1' }", '2: resile.http.port: must be a whole number, not "1"'),
    (
        "[resile.http]\nhost = '0.0.0.0'",
        '2: resile.http.host: "0.0.0.0" can be reached from other machines (use "127.0.0.1"',
    ),
    (
        "[resile.http]\nallow_remote = 1",
        "2: resile.http.allow_remote: must be true or false, not 1",
    ),
    ("[resile]\nstate_dir = ''", '2: resile.state_dir: "" is not a path'),
    ('[resile]\nstate_dir = "a\\u0000"', "2: resile.state_dir: a path cannot hold a NUL"),
    ("[resil]", '1: resil: unknown key (did you mean "resile"?)'),
    ("service = 3", "1: service: must be a table, not 3"),
    ("[service]\na = 3", "2: service.a: must be a table such as { key = value }, not 3"),
    ("[service.a]", "1: service.a.command: is missing"),
    ("[service.a]\ncommand = []", "2: service.a.command: the command is empty"),
    ("[service.a]\ncommand = ['']", "2: service.a.command: the command is empty"),
    ("[service.a]\ncommand = 3", "2: service.a.command: must be a list such as"),
    ("[service.a]\ncommand = ['x', 3]", "2: service.a.command[1]: must be text in quotes, not 3"),
    (
        "[service.a]\ncommand = \"gunicorn -b ':80' app\"",
        '(write ["gunicorn", "-b", ":80", "app"])',
    ),
    ("[service.a]\ncommand = 'it\"s'", '(write ["PROGRAM", "ARGUMENT"])'),
    ("[service.'A b']\ncommand = ['x']", '1: service.A b: "A b" is not a name (use a to z, 0 to 9'),
    (
        "[service.guard]\ncommand = ['x']",
        '1: service.guard: "guard" is the daemon\'s own name (give the service another name',
    ),
    ("[service.a]\ncommand = ['x']\nenv = { A = true }", "3: service.a.env.A: must be text"),
    ("[service.a]\ncommand = ['x']\nenv = 'A=1'", "3: service.a.env: must be a table"),
    ("[service.a]\ncommand = ['x']\nstop = { signal = 'TRM' }", "3: service.a.stop.signal: "),
    (
        "[service.a]\ncommand = ['x']\nrestart = { policy = 'permanant' }",
        '3: service.a.restart.policy: "permanant" is not known here (did you mean "permanent"?)',
    ),
    (
        "[service.a]\ncommand = ['x']\nrestart = { policy = 5 }",
        "3: service.a.restart.policy: must be 'permanent', 'transient' or 'temporary', not 5",
    ),
    (
        "[service.a]\ncommand = ['x']\nrestart = { backoff = '10s..1s' }",
        '3: service.a.restart.backoff: "10s..1s" is not a range of durations',
    ),
    (
        "[service.a]\ncommand = ['x']\nrestart = { backoff = '1s..2h' }",
        "3: service.a.restart.backoff: must be 0s to 1h, not 2h",
    ),
    (
        "[service.a]\ncommand = ['x']\nlimits = { cpu = 'half' }",
        '3: service.a.limits.cpu: "half" is not a share (write "50%" or "150%")',
    ),
    ("[service.a]\ncommand = ['x']\nlimits = { cpu = '0%' }", "must be 1% to 100000%, not 0%"),
    (
        "[service.a]\ncommand = ['x']\nready = { notify = true }",
        "3: service.a.ready.notify: unknown key (write notify = true beside ready",
    ),
    (
        "[service.a]\ncommand = ['x']\nready = {}",
        "3: service.a.ready: says nothing to look at (add one of http, tcp, unix, command, file,",
    ),
    (
        "[service.a]\ncommand = ['x']\nready = { htp = 'http://h/' }",
        '3: service.a.ready.htp: unknown key (did you mean "http"?)',
    ),
    (
        "[service.a]\ncommand = ['x']\nlive = { sqlite = 'x' }",
        "3: service.a.live.sqlite: unknown key",
    ),
    (
        "[service.a]\ncommand = ['x']\nlive = { process = false }",
        "3: service.a.live.process: must be true, not false",
    ),
    (
        "[service.a]\ncommand = ['x']\nlive = { heartbeat = '1s' }",
        "3: service.a.live.heartbeat: needs notify = true",
    ),
    (
        "[service.a]\ncommand = ['x']\noom = 'restart'",
        "3: service.a.oom: needs limits.memory",
    ),
    (
        "[service.a]\ncommand = ['x']\nwatchdog = '1s'",
        "3: service.a.watchdog: needs notify = true (add notify = true to the service",
    ),
    ("[check.c]\nhttp = 'localhost'", '2: check.c.http: "localhost" is not a URL that can be'),
    ("[check.c]\nhttp = 'http://'", '2: check.c.http: "http://" is not a URL'),
    ("[check.c]\nhttp = 'http://h:x/'", '2: check.c.http: "http://h:x/" is not a URL'),
    ("[check.c]\nhttp = 'http://[::1/'", '2: check.c.http: "http://[::1/" is not a URL'),
    ("[check.c]\nhttp = 'http://a b/'", '2: check.c.http: "http://a b/" is not a URL'),
    ("[check.c]\ntcp = '127.0.0.1'", '2: check.c.tcp: "127.0.0.1" is not a host and a port'),
    ("[check.c]\ntcp = 'h:0'", '2: check.c.tcp: "h:0" is not a host and a port'),
    ("[check.c]\ntcp = '[::1:80'", "2: check.c.tcp: "),
    ("[check.c]\ntcp = '[::z]:80'", "2: check.c.tcp: "),
    ("[check.c]\npostgres = 'mysql://h/d'", "2: check.c.postgres: it is not a PostgreSQL"),
    (
        "[check.c]\ntcp = 'h:1'\nhttp = 'http://h/'",
        "2: check.c.tcp: a check looks in one way, and this one has `http` already",
    ),
    (
        "[check.c]\ntcp = 'h:1'\nfree_min = '5%'",
        "3: check.c.free_min: belongs to a check of disk or memory, and this one is tcp",
    ),
    ("[check.c]\ndisk = '/'\nfree_min = '101%'", "3: check.c.free_min: must be 0% to 100%, not"),
    ("[check.c]\ndisk = '/'\nfree_min = 'lots'", '"lots" is not a size or share (write "1GiB"'),
    (
        "[check.c]\ntcp = 'h:1'\ninterval = '1s'\ntimeout = '2s'",
        "4: check.c.timeout: must not be longer than the interval (raise `interval`)",
    ),
    ("[check.c]\nprocess = 'svc'", '2: check.c.process: no service is called "svc"'),
    ("[group.g]\nservices = []", "2: group.g.services: needs at least 1"),
    ("[group.g]\nservices = ['b']", '2: group.g.services[0]: no service is called "b"'),
]


@pytest.mark.parametrize(("text", "expected"), ONE_FAULT)
def test_fault_is_told_with_its_place_and_what_to_write(problems, text, expected):
    found = problems(text)

    assert len(found) == 1, found
    assert expected in found[0]
    assert found[0].startswith("resile.toml:")


def test_all_faults_are_told_at_once_in_the_order_of_the_file(problems):
    found = problems(
        """\
[resile]
stable = "never"
[service.a]
command = "x"
depends_on = ["b", "nobody"]
ready = { http = "h", fall = 0, timeout = "5s" }
[service.b]
comand = ["x"]
depends_on = ["a"]
[group.g]
services = ["a", "a"]
"""
    )

    places = [line.split(": ")[0] for line in found]
    assert places == [
        "resile.toml:2",
        "resile.toml:4",
        "resile.toml:5",
        "resile.toml:6",
        "resile.toml:6",
        "resile.toml:6",
        "resile.toml:7",
        "resile.toml:8",
        "resile.toml:9",
        "resile.toml:11",
    ]


def test_circle_is_printed_once_and_whole(problems):
    found = problems(
        "".join(
            f'[service.{name}]\ncommand = ["x"]\ndepends_on = ["{need}"]\n'
            for name, need in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"), ("e", "e"))
        )
    )

    assert [line.split(": ", 2)[2] for line in found] == [
        "the services wait for each other: a -> b -> c -> a (take one of these dependencies away)",
        "the services wait for each other: e -> e (take one of these dependencies away)",
    ]


def test_long_chain_of_dependencies_is_no_circle(load):
    count = 1500
    text = "".join(
        f'[service.s{i}]\ncommand = ["x"]\ndepends_on = ["s{i + 1}"]\n' for i in range(count)
    )

    assert len(load(text + f'[service.s{count}]\ncommand = ["x"]\n').service) == count + 1


def test_diamond_of_dependencies_is_no_circle(load):
    needs = {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}

    config = load(
        "".join(f'[service.{n}]\ncommand=["x"]\ndepends_on={d}\n' for n, d in needs.items())
    )

    assert config.service["a"].depends_on == ("b", "c")


def test_service_may_depend_on_a_check_but_not_share_its_name(load, problems):
    load('[service.a]\ncommand = ["x"]\ndepends_on = ["db"]\n[check.db]\ntcp = "h:1"\n')

    (found,) = problems('[service.db]\ncommand = ["x"]\n[check.db]\ntcp = "h:1"\n')

    assert 'check.db: a service is called "db" too' in found


def test_service_in_two_groups_is_refused(problems):
    (found,) = problems(
        '[service.a]\ncommand = ["x"]\n[group.g]\nservices = ["a"]\n[group.h]\nservices = ["a"]\n'
    )

    assert found.startswith('resile.toml:6: group.h.services[0]: "a" is in group "g" already')


def test_secrets_are_not_repeated_in_faults(problems):
    found = "\n".join(
        problems(
            '[service.a]\ncommand = ["x"]\nenv = { TOKEN = ["hunter2"] }\n'
            '[check.p]\npostgres = "mysql://u:hunter2@h/d"\n'
            '[check.q]\nhttp = "ftp://u:hunter2@h/d"\n'
        )
    )

    assert "hunter2" not in found
    assert "ftp://u:***@h/d" in found


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[resile]\nname == 1\n", "resile.toml:2:7: Invalid value"),
        (b"[resile\n", "resile.toml:1:8: Expected ']'"),
        (b"a = 1\na = 2\n", "resile.toml:2:6: Cannot overwrite a value"),
        (b'a = "', "resile.toml:1: Unterminated string"),
        (b"\n\na = '\xff'", "resile.toml:3: is not UTF-8 text"),
    ],
)
def test_broken_toml_is_told_with_line_and_column(tmp_path, content, expected):
    path = tmp_path / "resile.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={})

    assert caught.value.problems[0].startswith(expected)


def test_missing_unreadable_and_huge_files_are_refused_with_a_hint(tmp_path):
    for path, words in (
        (tmp_path / "none.toml", "does not exist"),
        (tmp_path, "cannot be read"),
        (tmp_path / "huge.toml", "larger than 4 MiB"),
    ):
        if words.startswith("larger"):
            path.write_bytes(b"#" * ((4 << 20) + 1))
        with pytest.raises(ConfigError, match=words) as caught:
            load_config(path, environ={})
        assert caught.value.hint


def test_relative_path_of_the_file_itself_is_fine(tmp_path, monkeypatch):
    (tmp_path / "resile.toml").write_text("")
    monkeypatch.chdir(tmp_path)

    assert load_config(Path("resile.toml"), environ={}).resile.state_dir == tmp_path / ".resile"


def test_settings_written_back_are_read_as_themselves(load):
    before = load(
        ISSUE_EXAMPLE + '[check.d]\ndisk = "/"\nfree_min = "12.5%"\n[check.e]\ndisk = "/"\n'
        'free_min = "1GiB"\n[check.f]\ndisk = "/"\nfree_min = 0.25\n'
    )

    after = type(before).model_validate(before.as_data())

    assert after == before
    assert [before.check[name].free_min for name in "def"] == [0.125, 1 << 30, 0.25]


@pytest.mark.parametrize("host", ["127.0.0.2", "::1", "localhost"])
def test_host_of_this_machine_needs_no_permission(load, host):
    assert load(f'[resile.http]\nhost = "{host}"\n').resile.http.host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "box.lan"])
def test_host_that_others_reach_needs_permission(load, problems, host):
    (found,) = problems(f'[resile.http]\nhost = "{host}"\n')

    assert f'resile.http.host: "{host}" can be reached from other machines' in found
    load(f'[resile.http]\nhost = "{host}"\nallow_remote = true\n')


def test_size_out_of_range_is_told_with_its_unit(problems):
    (found,) = problems("[resile]\nlog_bytes_max = 100\n")

    assert found.endswith("resile.log_bytes_max: must be 4KiB to 10GiB, not 100B")


def test_what_stands_in_a_secret_place_is_told_by_its_sort(problems):
    found = problems(
        '[service.a]\ncommand = ["x"]\nenv = { A = ["x"], B = true, C = 2020-01-01 }\n'
    )

    assert [line.rpartition(", not ")[2] for line in found] == [
        "a list",
        "true or false",
        "a value of another sort",
    ]


def test_long_value_is_cut_in_the_message(problems):
    (found,) = problems(f'[resile]\nlog_files_max = "{"x" * 500}"\n')

    assert len(found) < 200


def test_unknown_key_of_a_check_lists_the_known_ones(problems):
    (found,) = problems('[check.c]\ntcp = "h:1"\nzzz = 1\n')

    assert "known here: age_max, command, " in found


@pytest.mark.parametrize("name", ["a", "_a", "0", "a-b_c", "n" * 63])
def test_name_that_the_guard_takes_is_a_name(load, name):
    assert set(load(f'[service.{name}]\ncommand = ["x"]\n').service) == {name}


def test_check_or_group_may_be_called_guard(load):
    """Only services have logs."""
    loaded = load(
        '[service.a]\ncommand = ["x"]\n'
        '[check.guard]\nheartbeat = "1s"\n'
        '[group.guard]\nservices = ["a"]\n'
    )

    assert "guard" in loaded.check


@pytest.mark.parametrize("name", ["-dash", "n" * 64])
def test_name_that_the_guard_would_refuse_is_none(problems, name):
    (found,) = problems(f'[service.{name}]\ncommand = ["x"]\n')

    assert "is not a name" in found


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[resile]\nprunable = [".resile/crashes/*.json"]\n', "2: resile.prunable"),
        ('[resile]\nprunable = [".resile"]\n', "2: resile.prunable"),
        ('[resile]\nprunable = [".res*/logs/*"]\n', "2: resile.prunable"),
        ('[resile]\nstate_dir = "var/s"\nprunable = ["ok", "var/s/x"]\n', "3: resile.prunable"),
        ('[service.a]\ncommand = ["x"]\nprunable = ["./.resile/logs"]\n', "3: service.a.prunable"),
    ],
)
def test_nothing_in_the_state_folder_is_declared_prunable(problems, text, place):
    (problem,) = problems(text)

    assert place in problem
    assert "is in the state folder" in problem


def test_what_lies_beside_the_state_folder_may_be_declared_prunable(load):
    config = load('[resile]\nprunable = ["cache/*.tmp", "*/old", ".resilent/x", "var"]\n')

    assert len(config.resile.prunable) == 4
