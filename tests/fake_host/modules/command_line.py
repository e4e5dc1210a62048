"""What the server was started with."""

from __future__ import annotations

import argparse
import runpy
from pathlib import Path

EXTENSION = Path(__file__).resolve().parents[3]


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--api", action="store_true")
    parser.add_argument("--api-auth", default="")
    parser.add_argument("--gradio-auth", default="")
    parser.add_argument("--listen", action="store_true")
    runpy.run_path(str(EXTENSION / "preload.py"))["preload"](parser)
    return parser.parse_args()


cmd_opts = _parsed()
