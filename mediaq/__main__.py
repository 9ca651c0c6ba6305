"""``python -m mediaq`` is the command ``mediaq``."""

from mediaq.cli import main

if __name__ == "__main__":
    main()
