"""Measurements, run by hand: `python -m tests.benchmarks.pipeline`, `.guided`, `.calibrate`."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # which has the package `support`
