"""Builds the distribution `dx-py`: maturin's build backend, which makes a wheel of an extension module or of a command, taught to make
one of both.

The command is built first, with the profile of the extension module, so that what the two have in common is compiled once; then it is
put where maturin takes a wheel's scripts from. It stays a program of its own, rather than a script that calls the module, since a run in
which nothing is dirty takes less time than Python takes to start.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Optional

import maturin
from maturin import (
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

#: As in pyproject.toml. Build backends are called in the folder that it lies in.
_SCRIPTS = Path("target/wheel-data/scripts")
_PROFILE = "wheel"

# maturin wants to see the folder, whatever it is asked for.
_SCRIPTS.mkdir(parents=True, exist_ok=True)


def build_wheel(
    wheel_directory: str, config_settings: Optional[dict[str, Any]] = None, metadata_directory: Optional[str] = None
) -> str:
    """Build the command, then the wheel with it."""
    _put_command()
    return str(maturin.build_wheel(wheel_directory, config_settings, metadata_directory))


def build_editable(
    wheel_directory: str, config_settings: Optional[dict[str, Any]] = None, metadata_directory: Optional[str] = None
) -> str:
    """The same, for an installation that uses the sources as they are."""
    _put_command()
    return str(maturin.build_editable(wheel_directory, config_settings, metadata_directory))


def _put_command() -> None:
    cargo = os.environ.get("CARGO", "cargo")
    command = [cargo, "build", "--profile", _PROFILE, "--bin", "dx-py", "--message-format=json-render-diagnostics"]
    # The extension module isn't built here, but has a say in the features of what both depend on: so those are compiled once.
    command += ["--package", "dx-py", "--package", "dx-py-native"]
    messages = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    built = [json.loads(line) for line in messages.splitlines() if line.startswith("{")]
    executables = [message["executable"] for message in built if message.get("executable")]
    if not executables:
        raise RuntimeError(f"`{' '.join(command)}` built no command")
    shutil.rmtree(_SCRIPTS)
    _SCRIPTS.mkdir()
    shutil.copy2(executables[-1], _SCRIPTS)
