"""``python -m rpax``."""

import sys

from rpax.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
