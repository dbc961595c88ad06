"""Tensor names: a declarative, invertible table of renames, transpositions and fusions."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.checkpoints.quantised import refuse_quantised_names
from lmkernel.checkpoints.stacked import StackedExperts
from lmkernel.errors import CheckpointError, shown
from lmkernel.families.reading import read_parts
from lmkernel.families.shares import join_rows, join_stack, stacked_shape, zero_rows
from lmkernel.parameters.holding import Holding
from lmkernel.parameters.names import flatten

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.checkpoints.tensors import Tensors
    from lmkernel.interfaces import Param, ParamTree

    _Found = tuple["Rule", list[str], dict[str, Param]]

__all__ = [
    "Rule",
    "from_ours",
    "in_groups",
    "is_any",
    "layer_rules",
    "rule_pairs",
    "to_ours",
    "with_optional_prefix",
]


@final
@dataclass(frozen=True)
class Rule:
    """One tensor of a checkpoint and the parameters that it holds.

    Args:
        theirs: the tensor's name; ``{i}`` stands for the number of a layer. ``{e}`` stands for that
            of an expert: there is one such tensor for each, and the parameter holds them all.
        ours: our dotted name, or several names whose rows the tensor holds one after the other.
        transpose: whether the tensor is stored (in, out).
        also: other names for it in checkpoints, which are read and never written.
        groups: how often the tensor's rows run through the parameters, each time with a share of
            each: GPT-NeoX has a head's queries, keys and values together, and then the next head's.
        stacked: whether the tensor holds all experts, as (expert, in, out), and the columns of
            several parameters take turns.
        stored: the tensor's shape, where its numbers lie in another one than the parameter's.
        row: whether a vector is stored as the one row of a matrix, and is zero where it is not.
    """

    theirs: str
    ours: str | tuple[str, ...]
    transpose: bool = False
    also: tuple[str, ...] = ()
    groups: int = field(default=1, repr=False)
    stacked: bool = field(default=False, repr=False)
    stored: tuple[int, ...] | None = field(default=None, repr=False)
    row: bool = field(default=False, repr=False)

    def at(self, layer: int) -> Rule:
        """The same for one layer."""
        ours = (self.ours,) if isinstance(self.ours, str) else self.ours
        theirs, *also = (name.replace("{i}", str(layer)) for name in (self.theirs, *self.also))
        numbered = tuple(name.replace("{i}", str(layer)) for name in ours)
        return replace(self, theirs=theirs, ours=numbered, also=tuple(also))

    def found(self, there: Collection[str]) -> str | None:
        """The name that it goes by among ``there``, if any."""
        return next((name for name in (self.theirs, *self.also) if name in there), None)

    @property
    def layered(self) -> bool:
        """Whether there is one tensor for each layer."""
        return "{i}" in self.theirs


def rule_pairs(
    rules: Sequence[Rule], known: Mapping[str, Param]
) -> Iterator[tuple[Rule, str, tuple[str, ...]]]:
    """Every (rule, their name, our names) of the parameters that a model declares, by layer."""
    numbers = {int(found[1]) for name in known if (found := re.search(r"\.layers\.(\d+)\.", name))}
    for rule in rules:
        for layer in sorted(numbers) if rule.layered else (0,):
            one = rule.at(layer)
            # layers may differ, and a rule for what one does not have is passed over
            if all(name in known for name in one.ours):
                yield one, one.theirs, tuple(one.ours)


def layer_rules(
    prefix: str, names: Mapping[str, str | tuple[str, ...]], stack: str = "decoder"
) -> tuple[Rule, ...]:
    """Rules for the weights and biases of a stack's layers.

    Args:
        prefix: what stands before the names of a layer's parts, with ``{i}``.
        names: their names of the parts, each with ours, or with several whose rows it holds.
        stack: ``"decoder"`` or ``"encoder"``.
    """
    found = []
    for theirs, ours in names.items():
        parts = (ours,) if isinstance(ours, str) else ours
        for leaf in ("weight", "bias"):
            own = tuple(f"{stack}.layers.{{i}}.{part}.{leaf}" for part in parts)
            found.append(Rule(f"{prefix}.{theirs}.{leaf}", own if len(own) > 1 else own[0]))
    return tuple(found)


def in_groups(rules: Iterable[Rule], groups: int) -> tuple[Rule, ...]:
    """The same, those of several parameters with their rows in so many groups."""
    return tuple(
        rule if isinstance(rule.ours, str) else replace(rule, groups=groups) for rule in rules
    )


def with_optional_prefix(prefix: str, rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Rules that read each name with a prefix and without: bare models are saved without theirs."""
    return tuple(
        replace(
            rule,
            also=(
                *rule.also,
                *(
                    name.removeprefix(prefix) if name.startswith(prefix) else prefix + name
                    for name in (rule.theirs, *rule.also)
                ),
            ),
        )
        for rule in rules
    )


def to_ours(
    tensors: Tensors,
    rules: Sequence[Rule],
    declared: ParamTree,
    *,
    where: str,
    ignored: Sequence[str] = (),
    optional: Collection[str] = (),
    keys: Mapping[str, str] = MappingProxyType({}),
    only: Collection[str] | None = None,
    progress: Callable[[int], None] | None = None,
    holding: Holding | None = None,
) -> dict[str, Any]:
    """Every declared parameter from a checkpoint, as views of it wherever that is possible.

    All names and shapes are compared before the first value is read.

    Args:
        tensors: the checkpoint's tensors.
        rules: the mapping of its names to ours.
        declared: the parameters wanted.
        where: the checkpoint's path, for messages.
        ignored: patterns of names that a checkpoint may hold and the model does not use, or not
            beside another name of the same tensor.
        optional: dotted names of parameters that the checkpoint may lack or hold in another shape,
            such as those of a new head; the result lacks them then.
        keys: what a configuration calls the extent of an axis, for messages: by the axis's name, or
            by a parameter's and the axis's.
        only: the dotted names of those that are read, by default all.
        progress: a function called with the number of bytes of each tensor read.
        holding: what becomes of each weight; by default all come as numbers.

    Raises:
        CheckpointError: a tensor is missing, superfluous, there twice with other values, or of
            another shape than the configuration says; the message names it.
    """
    known: dict[str, Param] = flatten(declared)
    if any("{e}" in rule.theirs for rule in rules):
        tensors = StackedExperts(tensors)
    unread = set(tensors.names())
    found: list[_Found] = []
    absent = (str(r.ours) for r in rules if r.row and r.found(unread) is None)
    zeros = zero_rows(known, absent)
    known = {name: param for name, param in known.items() if name not in zeros}
    # The declared parameters lead, not the file: a rule for what this model lacks (a bias, an
    # untied head) yields no pair, so one table serves a whole family.
    for rule, written, ours in rule_pairs(rules, known):
        there = [name for name in dict.fromkeys((written, *rule.also)) if name in unread]
        params = {name: known[name] for name in ours}
        unread -= {*there}
        there = there[:1] + [name for name in there[1:] if not is_any(name, ignored)]
        # a new head has another number of classes than the checkpoint's: a shape that does not fit
        # is an error only where the parameter must be there
        fits = bool(there) and tensors.shape(there[0]) == _stored_shape(rule, params)
        if not fits and all(name in optional for name in ours):
            known = {name: param for name, param in known.items() if name not in ours}
            continue
        if not there:
            refuse_quantised_names(tensors.names(), where)
            lies = map(tensors.unlisted, (written, *rule.also))
            other = next(filter(None, lies), "")
            raise CheckpointError(f"{where}: the tensor {written!r} is missing{other}")
        for name in there:
            _check_shape(tensors.shape(name), rule, params, f"{where}: tensor {name!r}", keys)
            _check_floating(tensors.dtype(name), f"{where}: tensor {name!r}")
        found.append((rule, there, params))
    # a tensor left unread means that the model is not what its configuration says: without it, the
    # numbers would be plausible and wrong
    surplus = [name for name in sorted(unread) if not is_any(name, ignored)]
    if surplus:
        refuse_quantised_names(surplus, where)
        raise CheckpointError(
            f"{where}: {len(surplus)} tensor(s) that the configuration has no place for, "
            f"such as {surplus[0]!r}"
        )
    missing = known.keys() - {name for *_, params in found for name in params}
    if missing:
        raise CheckpointError(f"{where}: no tensor maps to {min(missing)!r}")
    values: dict[str, Any] = {n: zero for n, zero in zeros.items() if only is None or n in only}
    for rule, there, params in _selection(found, only):
        read, size = read_parts(tensors, rule, there, params, where, holding or Holding())
        values.update(read)
        if progress is not None:
            progress(size)
    return values


def _selection(found: list[_Found], only: Collection[str] | None) -> list[_Found]:
    """Those whose parameters are asked for."""
    return found if only is None else [one for one in found if set(one[2]) <= set(only)]


def is_any(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name fits one of several patterns."""
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def _check_shape(
    got: tuple[int, ...],
    rule: Rule,
    ours: Mapping[str, Param],
    what: str,
    keys: Mapping[str, str],
) -> None:
    expected, (name, first) = _stored_shape(rule, ours), next(iter(ours.items()))
    if got == expected:
        return
    axes = first.axes[::-1] if rule.transpose else first.axes
    alike = len(axes) == len(expected) == len(got)
    sizes = zip(axes, expected, got, strict=True) if alike else ()
    called = {axis: keys.get(f"{name} {axis}", keys.get(axis)) for axis in axes if axis}
    blame = [
        f"; {called[axis]}: expected {there}, got {claimed}"
        for axis, claimed, there in sizes
        if claimed != there and called.get(axis) and (len(ours) == 1 or axis != first.axes[0])
    ]
    raise CheckpointError(
        f"{what}: the configuration expects the shape {expected}, the file holds {got}"
        + "".join(blame)
    )


def _check_floating(dtype: str, what: str) -> None:
    if "float" not in dtype:
        raise CheckpointError(
            f"{what}: expected floating-point values, got {dtype}; weights quantised to integers "
            "say in quantization_config by which method"
        )


def _stored_shape(rule: Rule, ours: Mapping[str, Param]) -> tuple[int, ...]:
    """The shape of the tensor that holds these parameters, one after the other."""
    first = next(iter(ours.values())).shape
    if rule.stored is not None:
        return rule.stored
    if rule.stacked:
        return stacked_shape(first, len(ours))
    joined = (sum(param.shape[0] for param in ours.values()), *first[1:])
    joined = (1, *joined) if rule.row else joined
    return joined[::-1] if rule.transpose else joined


def from_ours(
    values: Mapping[str, NDArray[Any]], rules: Sequence[Rule], declared: ParamTree
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The checkpoint's tensors of our parameters, layer by layer, one at a time.

    Raises:
        CheckpointError: before the first tensor: a parameter that no rule writes, or whose value is
            missing, of another shape or not floating, or a value of no parameter; at a tensor, that
            it has a NaN or an infinity.
    """
    if not isinstance(values, Mapping):
        raise CheckpointError(f"expected values by dotted name, got {shown(values)}")
    known: dict[str, Param] = flatten(declared)
    pairs = list(rule_pairs(rules, known))
    covered = {name for _, _, ours in pairs for name in ours}
    if covered != set(known):
        raise CheckpointError(f"no rule writes {min(known.keys() - covered)!r}")
    if unknown := values.keys() - known.keys():
        raise CheckpointError(
            f"expected values of the model's parameters, got one of {min(unknown)!r}"
        )
    for name, param in known.items():
        _check_value(name, param, values)
    # one tensor at a time, so that fused copies of a large model are never in memory together
    for rule, theirs, ours in pairs:
        parts = [values[name] for name in ours]
        if rule.stacked:
            whole = join_stack(parts)
        else:
            whole = join_rows(parts, rule.groups) if len(parts) > 1 else parts[0]
        if not np.isfinite(whole).all():
            raise CheckpointError(f"parameter {ours[0]!r}: expected finite values to write")
        whole = whole[None] if rule.row else whole
        whole = whole if rule.stored is None else whole.reshape(rule.stored)
        if "{e}" in theirs:
            yield from ((theirs.replace("{e}", str(e)), one) for e, one in enumerate(whole))
        else:
            yield theirs, whole.T if rule.transpose else whole


def _check_value(name: str, param: Param, values: Mapping[str, NDArray[Any]]) -> None:
    if name not in values:
        raise CheckpointError(f"the value of the parameter {name!r} is missing")
    if not isinstance(values[name], np.ndarray) or values[name].dtype.kind in "biu":
        got = getattr(values[name], "dtype", type(values[name]).__name__)
        raise CheckpointError(
            f"parameter {name!r}: expected a NumPy array of floating values, got {got}; "
            "`host_values` gives those of a module"
        )
    if values[name].shape != param.shape:
        raise CheckpointError(
            f"parameter {name!r}: expected a value of shape {param.shape}, got {values[name].shape}"
        )
