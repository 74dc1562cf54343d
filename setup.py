"""The four packages live in containers and the recipes in a folder of YAML; all go into one wheel."""

from pathlib import Path

from setuptools import find_packages, setup

CONTAINERS = {
    "latentreason": ".",
    "latentreason_kernels": "kernels",
    "latentreason_eval": "eval",
    "latentreason_launch": "launch",
}

packages: list[str] = []
package_dir: dict[str, str] = {}
for name, where in CONTAINERS.items():
    packages += find_packages(where, include=[name, f"{name}.*"])
    package_dir[name] = str(Path(where) / name)

recipe_folders = sorted({path.parent for path in Path("recipes").rglob("*.yaml")})
for folder in recipe_folders:
    package = ".".join(("latentreason_recipes", *folder.parts[1:]))
    packages.append(package)
    package_dir[package] = str(folder)

setup(
    packages=packages,
    package_dir=package_dir,
    package_data={"": ["*.yaml", "*.json", "*.md", "py.typed"]},
)
