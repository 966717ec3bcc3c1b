"""Where the command line begins."""

import sys

from sidecars.program import main

if __name__ == "__main__":
    sys.exit(main())
