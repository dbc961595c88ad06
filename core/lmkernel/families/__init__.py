"""Model families: how the ecosystem's configurations and tensor names map to ours."""

from lmkernel.families.family import Family, HfConfig
from lmkernel.families.names import Rule, from_ours, to_ours

__all__ = ["Family", "HfConfig", "Rule", "from_ours", "to_ours"]
