"""``python -m rnnfast``."""

import sys

from rnnfast.cli import main

if __name__ == "__main__":
    sys.exit(main())
