"""Registers the built-in commands; imports none of them."""

from __future__ import annotations

from lmkernel.plugins import CommandSpec, hookimpl


@hookimpl
def lmkernel_register_commands() -> list[CommandSpec]:
    """What the program can do, in the order of its help."""
    return [
        CommandSpec(
            name="backends",
            contract="1.0",
            load="lmkernel.cli.backends:Backends",
            help="list the backends and what each declares",
        ),
        CommandSpec(
            name="models",
            contract="1.0",
            load="lmkernel.cli.models:Models",
            help="list the models that are known by name or here already",
        ),
        CommandSpec(
            name="pull",
            contract="1.0",
            load="lmkernel.cli.pull:Pull",
            help="fetch a model by name",
        ),
        CommandSpec(
            name="chat",
            contract="1.0",
            load="lmkernel.cli.chat:Chat",
            help="talk with a model",
        ),
        CommandSpec(
            name="generate",
            contract="1.0",
            load="lmkernel.cli.generate:Generate",
            help="continue a prompt",
        ),
        CommandSpec(
            name="pretrain",
            contract="1.0",
            load="lmkernel.cli.pretrain:Pretrain",
            help="train a model on unlabelled text; without arguments, a small one in two minutes",
        ),
        CommandSpec(
            name="finetune",
            contract="1.0",
            load="lmkernel.cli.finetune:Finetune",
            help="go on training a model on instructions, labels or text",
        ),
        CommandSpec(
            name="evaluate",
            contract="1.0",
            load="lmkernel.cli.evaluate:Evaluate",
            help="measure a model on data: loss, perplexity, accuracy",
        ),
        CommandSpec(
            name="classify",
            contract="1.0",
            load="lmkernel.cli.classify:Classify",
            help="tell the classes of texts, with a model fine-tuned for that",
        ),
        CommandSpec(
            name="compare",
            contract="1.0",
            load="lmkernel.cli.compare:Compare",
            help="run one prompt on several backends and compare what comes out",
        ),
        CommandSpec(
            name="new",
            contract="1.0",
            load="lmkernel.cli.new:New",
            help="begin a backend or another plugin: a distribution that installs and runs at once",
        ),
    ]
