"""baluarte.apps.cli.main into a pipe that nobody reads on, as `baluarte --help | head` does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("adopt", "--help")])
def test_a_reader_that_has_read_enough_is_no_error(words: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "baluarte.apps.cli.main", *words],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
