"""A plugin that misbehaves is reported by its name, whatever it does, and the others work."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from bad_plugins import HOOK, check_reported

from lmkernel.backend import load_backend
from lmkernel.errors import CapabilityError, PluginError, UnknownNameError
from lmkernel.plugins import BackendSpec, Registry

if TYPE_CHECKING:
    from bad_plugins import Site

RAISES = {
    "SystemExit": ("raise SystemExit(0)", "SystemExit: 0"),
    "SystemExit_text": ("raise SystemExit('bye')", "SystemExit: bye"),
    "exit": ("import sys; sys.exit()", "SystemExit"),
    "own_BaseException": ("raise Own('odd')", "Own: odd"),
    "GeneratorExit": ("raise GeneratorExit", "GeneratorExit"),
    "StopIteration": ("raise StopIteration", "StopIteration"),
    "cancelled": ("import asyncio; raise asyncio.CancelledError", "CancelledError"),
    "recursion": ("f = lambda g: g(g); f(f)", "RecursionError"),
    "memory": ("raise MemoryError", "MemoryError"),
    "missing": ("import no_such_framework", "No module named 'no_such_framework'"),
    "group": ("raise BaseExceptionGroup('many', [Own()])", "BaseExceptionGroup: many"),
    "megabyte": ("raise ValueError('x' * 10**6)", "ValueError: xxx"),
    "no_message": ("raise type('Mute', (Own,), {'__str__': lambda self: 1 / 0})", "Mute: its"),
    "no_name": (
        "raise type('M', (type,), {'__name__': property(lambda s: exit())})('No', (Own,), {})",
        "No: ",
    ),
    "fatal_message": ("raise type('Mute', (Own,), {'__str__': lambda self: exit()})", "Mute: its"),
}


def parametrize_raises() -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("does", "said"), list(RAISES.values()), ids=list(RAISES))


@parametrize_raises()
def test_h4_import(site: Site, does: str, said: str) -> None:
    site.add("bad", does)
    check_reported(Registry(), "cannot be imported", said)


def test_a_name_that_a_broken_plugin_would_have_had_is_told_with_its_fault(site: Site) -> None:
    site.add("bad", "raise ValueError('its reason')")
    said = (
        "unknown backend 'bad': plugin 'bad' cannot be imported: ValueError: its reason. Available:"
    )
    with pytest.raises(UnknownNameError, match=said):
        Registry().get(BackendSpec, "bad")


@parametrize_raises()
def test_h4_hook(site: Site, does: str, said: str) -> None:
    site.add("bad", f"{HOOK}():\n    {does}\n")
    check_reported(Registry(), "lmkernel_register_backends", said)


@parametrize_raises()
def test_h4_iterating_what_the_hook_returns(site: Site, does: str, said: str) -> None:
    spec = "yield BackendSpec(name='bad', **GOOD)"
    site.add("bad", f"{HOOK}():\n    {spec}\n    {does}\n")
    # Python itself turns the end of an iteration inside a generator into an error
    said = "generator raised StopIteration" if said == "StopIteration" else said
    check_reported(Registry(), "lmkernel_register_backends", said)


@parametrize_raises()
def test_h4_importing_what_load_names(site: Site, does: str, said: str) -> None:
    site.add("target", does, distribution="lmkernel-unread")
    (site.folder / "lmkernel_unread-1.dist-info" / "entry_points.txt").unlink()
    site.add("bad", loading("lmkernel_unread_plugin:create"))
    spec = Registry().get(BackendSpec, "bad")
    with pytest.raises(PluginError, match="backend 'bad' cannot be loaded from") as caught:
        spec.create("cpu")
    assert said in str(caught.value)


@parametrize_raises()
def test_h4_create(site: Site, does: str, said: str) -> None:
    site.add("bad", f"{loading('bad_plugin:create')}\ndef create(device):\n    {does}\n")
    spec = Registry().get(BackendSpec, "bad")
    with pytest.raises(PluginError, match="backend 'bad', bad_plugin:create: ") as caught:
        spec.create("cpu")
    assert said in str(caught.value)
    assert len(str(caught.value)) < 2000


def loading(place: str) -> str:
    fields = f"name='bad', **(GOOD | dict(load={place!r}))"
    return f"{HOOK}():\n    return [BackendSpec({fields})]\n"


def test_h4_what_create_raises_on_purpose_goes_through(site: Site) -> None:
    does = (
        "from lmkernel.errors import CapabilityError\n    raise CapabilityError('no such device')"
    )
    site.add("bad", f"{loading('bad_plugin:create')}\ndef create(device):\n    {does}\n")
    with pytest.raises(CapabilityError, match="no such device"):
        Registry().get(BackendSpec, "bad").create("cpu")


@pytest.mark.parametrize(
    "member", ["__getattribute__=lambda *_: exit()", "__class__=property(exit)"]
)
def test_h4_what_create_returns_says_nothing_of_its_class(site: Site, member: str) -> None:
    made = f"return type('Odd', (), dict({member}))()"
    site.add("bad", f"{loading('bad_plugin:create')}\ndef create(device):\n    {made}\n")
    with pytest.raises(PluginError, match="to return BackendParts, got Odd"):
        load_backend("bad", registry=Registry())


@pytest.mark.parametrize("place", ["import", "hook", "create"])
def test_h4_the_users_interrupt_goes_through(site: Site, place: str) -> None:
    does = "raise KeyboardInterrupt"
    function = "def create(device):\n    "
    sources = {
        "import": does,
        "hook": f"{HOOK}():\n    {does}\n",
        "create": f"{loading('bad_plugin:create')}\n{function}{does}\n",
    }
    site.add("bad", sources[place])
    with pytest.raises(KeyboardInterrupt):
        Registry().get(BackendSpec, "bad").create("cpu")


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("None", "NoneType"),
        ("5", "'int' object is not iterable"),
        ("'bad'", "expected BackendSpec, got str"),
        ("{'bad': 1}", "expected BackendSpec, got str"),
        ("[BackendSpec]", "expected BackendSpec, got type"),
        ("[TrackerSpec(name='bad', load='a:b', contract='1.0')]", "got TrackerSpec"),
        ("iter(int, 1)", "expected at most 10000 specifications"),
        ("(BackendSpec(name='bad', **GOOD) for _ in iter(int, 1))", "expected at most 10000"),
        ("type('Odd', (), {'__iter__': lambda self: exit()})()", "SystemExit"),
        ("type('Odd', (), {'__iter__': lambda self: 5})()", "TypeError"),
        ("[type('Liar', (), {'__class__': BackendSpec})()]", "got Liar"),
        ("[type('Odd', (), {'__class__': property(lambda self: exit())})()]", "got Odd"),
    ],
)
def test_h4_what_a_hook_returns(site: Site, returned: str, said: str) -> None:
    site.add("bad", f"{HOOK}():\n    return {returned}\n")
    check_reported(Registry(), "lmkernel_register_backends", said)


SUBCLASS = """
class Sub(BackendSpec):
    {member}

    def __post_init__(self):
        pass

{hook}():
    return [Sub(name="bad", **GOOD), BackendSpec(name="beside", **GOOD)]
"""


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ("key = property(lambda self: exit())", "SystemExit"),
        ("key = property(lambda self: 1 / 0)", "ZeroDivisionError"),
        ("key = property(lambda self: [])", "key: expected str, got list"),
        ("install = property(lambda self: exit(), lambda self, value: None)", "SystemExit"),
        (
            "contract = property(lambda self: 1.0, lambda self, value: None)",
            "expected str, got 1.0",
        ),
        ("__getattribute__ = lambda self, name: exit()", "SystemExit"),
    ],
)
def test_h4_broken_subclass_of_a_specification(site: Site, member: str, said: str) -> None:
    fresh = "__setattr__ = object.__setattr__"
    site.add("bad", SUBCLASS.format(member=f"{member}\n    {fresh}", hook=HOOK))
    registry = Registry()
    check_reported(registry, said)
    if "getattribute" not in member:  # which breaks the plugin's own hook
        assert "beside" in registry.all(BackendSpec)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("class PLUGIN:\n    def __dir__(self): exit()\nPLUGIN = PLUGIN()", "SystemExit"),
        (f"{HOOK}(device):\n    return []\nimport sys\nPLUGIN = sys.modules[__name__]", "device"),
        (f"{HOOK[:-1]}():\n    return []\nimport sys\nPLUGIN = sys.modules[__name__]",
         "unknown hook 'lmkernel_register_backend'"),
        ("", "has no attribute 'PLUGIN'"),
    ],
)  # fmt: skip
def test_h4_malformed_plugin(site: Site, source: str, said: str) -> None:
    site.add("bad", source, target="PLUGIN")
    check_reported(Registry(), said)


def test_h4_a_plugin_that_breaks_when_it_is_compared(site: Site) -> None:
    hook = "@hookimpl\n    def lmkernel_register_backends(self): return []"
    site.add("bad", f"class PLUGIN:\n    __eq__ = lambda *_: exit()\n    {hook}\nPLUGIN = PLUGIN()",
             target="PLUGIN")  # fmt: skip
    registry = Registry()
    assert registry.problems == []
    assert "good" in registry.all(BackendSpec)


def test_a_plugin_that_forgets_our_modules_changes_none(site: Site) -> None:
    forgets = "for name in [n for n in sys.modules if n.split('.')[0] == 'lmkernel']:\n"
    site.add("bad", f"import sys\n{forgets}    del sys.modules[name]\nraise Own('odd')")
    before = {name: held for name, held in sys.modules.items() if name.startswith("lmkernel.")}
    check_reported(Registry(), "cannot be imported", "Own: odd")
    assert all(sys.modules[name] is held for name, held in before.items())
