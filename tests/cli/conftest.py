"""Calls the command line in this process."""

import pytest

from lmkit.cli.main import main


@pytest.fixture
def lmkit(capsys, monkeypatch, tmp_path):
    """Call the command line in this process: ``code, stdout, stderr = lmkit("list")``."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return ended.value.code, *capsys.readouterr()

    return call
