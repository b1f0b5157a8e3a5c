"""Makes the embedded model: ``python workflows/mini --help``."""

import sys

from s2s_mini.steps import main

sys.exit(main())
