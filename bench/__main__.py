"""`python -m aexad.bench`, which is `aexad-bench`."""

import sys

from aexad.bench.commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
