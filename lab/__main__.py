"""`python -m lab` is `lab/lab`."""

import sys

from lab.twin.cli import main

sys.exit(main())
