"""A family from a plugin, whose methods are run as a plugin's code and whose answers are checked.

What goes wrong in one is reported by the family's name, whatever it is; our own errors are answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, final

from lmkernel.config import HeadConfig, ModelConfig
from lmkernel.families.family import Family, MakeHead
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.languages import Languages
from lmkernel.families.names import Rule
from lmkernel.families.picture_tokens import PictureTokens
from lmkernel.plugins.guarded import Guarded

if TYPE_CHECKING:
    from collections.abc import Collection

    from lmkernel.families.hf_config import HfConfig
    from lmkernel.families.sizes import Sizes

__all__ = ["GuardedFamily"]


@final
class GuardedFamily(Guarded, Family):
    """A family from a plugin.

    Args:
        own: what the plugin made.
        name: what it is registered under.

    Raises:
        PluginError: it made something else.
    """

    guarded: ClassVar[type] = Family

    def __init__(self, own: Any, name: str) -> None:
        super().__init__(own, f"model family {name!r}", "load")
        self.keys, self.layout = own.keys, own.layout  # type: ignore[misc]  # another class's own
        self.processor = own.processor  # type: ignore[misc]  # as before

    def read(self, config: HfConfig) -> ModelConfig:
        found: ModelConfig = self._ask("read", ModelConfig, config)
        return found

    def write(self, config: ModelConfig) -> dict[str, Any]:
        found: dict[str, Any] = self._ask("write", dict, config)
        return found

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        return self._rows("rules", Rule, config)

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        return self._rows("ignored", str, config)

    def as_stored(self, config: ModelConfig, names: Collection[str]) -> ModelConfig:
        found: ModelConfig = self._ask("as_stored", ModelConfig, config, names)
        return found

    def heads(self) -> Mapping[str, MakeHead | None]:
        made: Mapping[str, MakeHead | None] = self._ask("heads", Mapping)
        return {name: make and self._maker(name, make) for name, make in made.items()}

    def _maker(self, name: str, make: MakeHead) -> MakeHead:
        def guarded(config: HfConfig, labels: tuple[str, ...]) -> HeadConfig:
            found: HeadConfig = self._call(f"the head {name!r}", make, HeadConfig, config, labels)
            return found

        return guarded

    def new(self, sizes: Sizes) -> dict[str, Any]:
        found: dict[str, Any] = self._ask("new", dict, sizes)
        return found

    def special_tokens(self) -> dict[str, str]:
        found: dict[str, str] = self._ask("special_tokens", dict)
        return found

    def languages(self) -> Languages | None:
        found: Languages | None = self._ask("languages", Languages | None)
        return found

    def picture_tokens(self) -> PictureTokens:
        found: PictureTokens = self._ask("picture_tokens", PictureTokens)
        return found

    def gguf(self) -> GgufArchitecture | None:
        found: GgufArchitecture | None = self._ask("gguf", GgufArchitecture | None)
        return found

    def _rows(self, method: str, kind: type, *arguments: Any) -> tuple[Any, ...]:
        """What a method gives that gives several of a kind."""
        found = tuple(self._ask(method, tuple | list, *arguments))
        for one in found:
            self._require(method, one, kind)
        return found
