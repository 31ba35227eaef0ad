"""`python -m labkit COMMAND`."""

import sys

from labkit.front.cli import main

sys.exit(main())
