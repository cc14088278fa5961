"""`python -m rnfm` and `torchrun -m rnfm`: the same as the `rnfm` command."""

import sys

from rnfm.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
