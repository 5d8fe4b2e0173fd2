"""`python -m dx_py_test_runner`: the command `dx-py`, for the tests of this interpreter's virtual environment."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Become the command; gives an exit code only if it isn't there."""
    from dx_py_test_runner.command import environment, find_binary
    from dx_py_test_runner.errors import CommandError

    try:
        binary = find_binary()
    except CommandError as error:
        print(f"dx-py: {error}", file=sys.stderr)
        return 4
    os.execve(binary, [binary, *sys.argv[1:]], environment())


if __name__ == "__main__":
    sys.exit(main())
