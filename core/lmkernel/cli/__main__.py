"""``python -m lmkernel.cli`` is the program ``lmkernel``."""

from __future__ import annotations

import sys

from lmkernel.start import main

sys.exit(main())
