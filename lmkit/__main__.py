"""``python -m lmkit`` is the ``lmkit`` command."""

from lmkit.cli.main import main

if __name__ == "__main__":
    main()
