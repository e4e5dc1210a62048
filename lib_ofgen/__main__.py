"""`python -m lib_ofgen` is `ofgen`."""

from __future__ import annotations

from lib_ofgen.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
