"""Print the lowest versions that pyproject.toml allows, as constraints for pip.

python .ci/lowest.py > lowest.txt; pip install -c lowest.txt -e '.[onnx,web]'
"""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
of_extras = [each for name in extras if name != "dev" for each in extras[name]]
for requirement in [*project["dependencies"], *of_extras]:
    name, lowest = re.fullmatch(r"([\w.-]+)(?:\[\w+\])?>=([\w.]+)[^;]*", requirement).groups()
    print(f"{name}=={lowest if '.' in lowest else f'{lowest}.0'}.*")
