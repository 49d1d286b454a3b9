"""Print the lowest versions that pyproject.toml allows, as constraints for pip.

python .ci/lowest.py web > lowest.txt; pip install -c lowest.txt -e '.[web]'
"""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
extras = [each for name in sys.argv[1:] for each in project["optional-dependencies"][name]]
lowest = {}
for requirement in [*project["dependencies"], *extras]:  # an extra may ask for more
    name, version = re.fullmatch(r"([\w.-]+)(?:\[\w+\])?>=([\w.]+)[^;]*", requirement).groups()
    lowest[name] = version if "." in version else f"{version}.0"
for name, version in lowest.items():
    print(f"{name}=={version}.*")
