"""The models of a server, by the names that clients ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from lmkernel_serve.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lmkernel_serve.served import Served

__all__ = ["Models"]


@final
class Models:
    """Iterates over the models in their order.

    Args:
        models: the first is that of requests that may leave it out.
    """

    def __init__(self, models: Sequence[Served]) -> None:
        self._models = {model.name: model for model in models}

    def __iter__(self) -> Iterator[Served]:
        return iter(self._models.values())

    def find(self, name: str | None) -> Served:
        """The model of a name, or the first.

        Raises:
            ApiError: there is none of that name.
        """
        if name is None:
            return next(iter(self))
        if name not in self._models:
            raise ApiError(
                f"the model {name!r:.200} does not exist here; there are: "
                f"{', '.join(self._models)}",
                404,
                param="model",
                code="model_not_found",
            )
        return self._models[name]

    def generator(self, name: str | None) -> Served:
        """The same, of one that writes texts; any other is refused by what it does."""
        served = self.find(name)
        if not served.generates:
            does = (
                "writes down what is spoken, and answers"
                if served.hears
                else "makes vectors, and writes"
            )
            raise ApiError(f"the model {served.name!r} {does} no text", param="model")
        return served

    def hearer(self, name: str | None) -> Served:
        """The same, of one that writes down what is spoken."""
        served = self.find(name)
        if not served.hears:
            others = ", ".join(model.name for model in self if model.hears) or "none here"
            raise ApiError(
                f"the model {served.name!r} hears no sounds; those that do: {others}",
                param="model",
            )
        return served
