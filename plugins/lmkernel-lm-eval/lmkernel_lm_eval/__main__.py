"""``lm_eval``, with the model ``lmkernel`` registered."""

from __future__ import annotations

from lm_eval.__main__ import cli_evaluate

import lmkernel_lm_eval  # noqa: F401 - importing it registers the model

if __name__ == "__main__":
    cli_evaluate()
