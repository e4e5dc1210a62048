"""The webui's hook before it reads its command line."""

from __future__ import annotations

import argparse


def preload(parser: argparse.ArgumentParser) -> None:
    """Add our options to the webui's."""
    parser.add_argument(
        "--ofgen-models-dir",
        action="append",
        default=[],
        metavar="FOLDER",
        help="Optical Flow Animation: folder with the weights of flow estimators and taggers",
    )
    parser.add_argument(
        "--ofgen-allow-path",
        action="append",
        default=[],
        metavar="FOLDER",
        help="Optical Flow Animation: folder that requests may read videos from and write films to",
    )
    parser.add_argument(
        "--ofgen-limit",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="Optical Flow Animation: the most that a file or an answer may ask of this machine, "
        "such as pixels=35500000; may be given more than once",
    )
