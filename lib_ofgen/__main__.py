"""`ofgen`, and `python -m lib_ofgen`: one line where a library or a file of ours is broken."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from lib_ofgen.system import libraries

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit status."""
    try:
        found = libraries.try_import("lib_ofgen.cli.commands")
        if found.module is None:
            if sys.stderr is not None:
                sys.stderr.write(f"ofgen: error: {found.fault}\n")
            return 1
        return found.module.main(arguments)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
