"""``python -m lmkernel.cli`` is the program ``lmkernel``."""

from __future__ import annotations

import sys

from lmkernel.cli.main import main

sys.exit(main())
