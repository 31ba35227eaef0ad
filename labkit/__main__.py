"""`python -m labkit COMMAND`."""

import sys

from labkit.cli import main

sys.exit(main())
