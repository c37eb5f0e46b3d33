"""The file that `resile init` writes fits the folder and loads."""

import pytest

from resile.core.config import config_template


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


CASES = [
    ({}, {}),
    ({"main.py": "print()"}, {"main": ("python3", "main.py")}),
    ({"app.py": "x = 1", "main.py": ""}, {"app": ("python3", "app.py")}),
    (
        {"app.py": "api: FastAPI = FastAPI()\n", ".venv/bin/python": ""},
        {"app": (".venv/bin/python", "-m", "uvicorn", "app:api", "--port", "8000")},
    ),
    (
        {"app.py": "web = Flask(__name__)"},
        {"app": ("python3", "-m", "flask", "--app", "app", "run", "--port", "8000")},
    ),
    (
        {"manage.py": "import django", "app.py": ""},
        {"web": ("python3", "manage.py", "runserver", "--noreload", "127.0.0.1:8000")},
    ),
    (
        {"pyproject.toml": '[project]\nname="x"\n[project.scripts]\n"My.App" = "x:main"\n'},
        {"my-app": ("My.App",)},
    ),
    (
        {"pyproject.toml": '[project.scripts]\nrun = "x:m"', ".venv/bin/run": ""},
        {"run": (".venv/bin/run",)},
    ),
    (
        {"pyproject.toml": '[project.scripts]\nguard = "x:main"\n'},
        {"guard-service": ("guard",)},
    ),
    ({"pyproject.toml": '[project.scripts]\n"..." = "x:main"\n'}, {"app": ("...",)}),
    (
        {"Procfile": f"Guard: x\n-y: y\n{'z' * 64}: z\n"},
        {"guard-service": ("x",), "y": ("y",), "z" * 63: ("z",)},
    ),
    ({"pyproject.toml": "not [ toml"}, {}),
    ({"pyproject.toml": "project = 3"}, {}),
    (
        {
            "Procfile": 'web: gunicorn app:app\nWORKER: celery -A "a b" worker\n'
            "x: run --port $PORT\nx: twice\n# no\ny: a | b\nz: 'open\nrelease: migrate\n"
        },
        {
            "web": ("gunicorn", "app:app"),
            "worker": ("celery", "-A", "a b", "worker"),
            "x": ("sh", "-c", "exec run --port $PORT"),
            "y": ("sh", "-c", "a | b"),
            "z": ("sh", "-c", "exec 'open"),
        },
    ),
    ({"Procfile": 'q: say "a\\\\b" \x7f \u00e9'}, {"q": ("say", "a\\b", "\x7f", "\u00e9")}),
]


@pytest.mark.parametrize(("files", "services"), CASES)
def test_template_proposes_what_the_folder_holds_and_loads(tmp_path, load, files, services):
    write(tmp_path, files)

    config = load(config_template(tmp_path))

    assert {name: service.command for name, service in config.service.items()} == services
    assert config.check["disk"].kind == "disk"


@pytest.mark.parametrize("files", [{}, {"main.py": ""}, {"manage.py": "django"}])
def test_template_loads_with_its_examples_uncommented(tmp_path, load, files):
    write(tmp_path, files)
    text = config_template(tmp_path)
    lines = []
    for line in text.splitlines():
        bare = line.removeprefix("# ")
        is_setting = bare.startswith(("[", *"abcdefghijklmnopqrstuvwxyz")) and (
            " = " in bare or bare.startswith("[")
        )
        skip = (
            "depends_on" in bare or '["database"' in bare or "group." in bare or "rest_for" in bare
        )
        lines.append("" if skip else bare if is_setting and not bare.endswith(".") else line)

    config = load("\n".join(lines))

    assert config.resile.name == "my-system"
    assert config.service


def test_template_of_a_folder_without_services_shows_one_to_start_with(tmp_path):
    assert "# [service.web]" in config_template(tmp_path)
