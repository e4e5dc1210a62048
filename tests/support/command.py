"""The command line, run in this process."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from lib_ofgen.cli import commands


@dataclass
class Said:
    """What a command gave."""

    status: int
    out: str
    err: str

    @property
    def refusal(self) -> str:
        """The one line that a fault is told in."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("ofgen: error: ")
        assert self.out == ""
        return lines[0]


class Command:
    """Runs `ofgen` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: object) -> Said:
        self._capsys.readouterr()
        try:
            status = commands.main([str(word) for word in words])
        except SystemExit as ended:
            status = int(ended.code or 0)
        said = self._capsys.readouterr()
        return Said(status, said.out, said.err)
