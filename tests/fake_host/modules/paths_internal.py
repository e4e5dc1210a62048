"""Folders, as texts."""

from __future__ import annotations

from modules.command_line import cmd_opts

data_path = str(cmd_opts.data.resolve())
models_path = f"{data_path}/models"
default_output_dir = f"{data_path}/outputs"
