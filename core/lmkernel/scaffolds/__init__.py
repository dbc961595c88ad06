"""What ``lmkernel new`` writes: a distribution of its own for each hook.

The files of ``templates/common`` and of the folder of a hook, filled in. The operations of a
backend are taken from the contract itself.
"""

from lmkernel.scaffolds.write import Names, hooks, write_scaffold

__all__ = ["Names", "hooks", "write_scaffold"]
