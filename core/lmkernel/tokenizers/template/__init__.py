"""Chat templates: Jinja from a checkpoint, so from a stranger.

A template is parsed by Jinja and interpreted here. It sees plain data alone, every step of it is
counted and every value that it makes is paid for, so that whatever it holds, the answer is the text
or one sentence, within seconds and in bounded memory.
"""

from lmkernel.tokenizers.template.program import compile_template

__all__ = ["compile_template"]
