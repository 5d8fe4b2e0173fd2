"""pytest's configuration, made before it is known for what.

What it is until the arguments are looked at, with pytest's own plugins, is the same for each worker: a zygote makes it once, and each
fork has it. That was a sixth of what starting a session takes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

import _pytest.config


class _Asked(Mapping[str, str]):
    """The environment, which remembers what was asked for."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        #: The variables, with their values.
        self.answers: dict[str, Optional[str]] = {}

    def __getitem__(self, name: str) -> str:
        self.answers[name] = self._environment.get(name)
        return self._environment[name]

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("all variables are looked at")

    def __len__(self) -> int:
        raise RuntimeError("all variables are looked at")


_config: Any = None
_answers: dict[str, Optional[str]] = {}


def make() -> None:
    """Make one, in a zygote."""
    global _config, _answers
    environment, argv = os.environ, sys.argv
    asked = _Asked(environment)
    try:
        os.environ = asked  # type: ignore[assignment]  # noqa: B003 for the time of the call
        # As it will be: it names the program in messages.
        sys.argv = [os.path.join(os.path.dirname(sys.modules["pytest"].__file__ or ""), "__main__.py")]
        _config = _pytest.config.get_config([])
    except Exception:  # other internals, or it looks at all variables: then each worker makes its own
        return
    finally:
        os.environ, sys.argv = environment, argv
    _answers = asked.answers


def hand_out() -> None:
    """Let the next configuration that pytest makes be the one that is there, if it would be the same."""
    global _config
    config, _config = _config, None
    if config is None or any(os.environ.get(name) != value for name, value in _answers.items()):
        return
    original = _pytest.config.get_config

    def get_config(args: Any = None, plugins: Any = None, **more: Any) -> Any:
        _pytest.config.get_config = original
        # Plugins that are left out by an argument must not have been there.
        if args is None or any(argument.startswith("-p") for argument in args) or any(more.values()):
            return original(args, plugins, **more)
        config.invocation_params = config.InvocationParams(args=args, plugins=plugins, dir=Path.cwd())
        return config

    _pytest.config.get_config = get_config
