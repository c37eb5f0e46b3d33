"""Sphinx settings. Before a build, the reference fragments are generated from the code."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generate  # noqa: E402 - found through the line above

generate.write(HERE / "reference" / "generated")

project = "resile"
author = "the resile authors"
copyright = "the resile authors"  # Apache-2.0
extensions = ["myst_parser"]
exclude_patterns = ["_build", "reference/generated"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "resile"
html_static_path: list[str] = []
