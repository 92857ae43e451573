"""``python -m histnu`` is the command ``histnu``."""

from histnu.cli.main import main

if __name__ == "__main__":
    main()
