"""Training over two processes gives what one gives; backends without the tier say so."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import numpy as np
import one_of_several
import pytest
from one_of_several import SIZES, measure
from training_samples import DOUBLE, DROPPING, letters_batch, made_trainer, small_gpt2

from lmkernel.backend import load_backend, load_distributed
from lmkernel.contract.distribution import Mesh, Processes
from lmkernel.distribution.launch import launch
from lmkernel.errors import CapabilityError
from lmkernel.plugins import default_registry

SPEC = default_registry().select_backend(None)
SEVERAL = bool(SPEC.distribute)
# what is quick to compile, unless others are named
QUICK = {"torch": "data=2 fsdp=2 model=2 dropout", "jax": "data=2"}
MESHES = os.environ.get("LMKERNEL_MESHES", QUICK.get(SPEC.name, "")).split()
DROPOUT = "dropout" in MESHES
MESHES = [mesh for mesh in MESHES if mesh != "dropout"]
# sums of some hundred numbers in another order, in float64, through three steps
CLOSE = {"rtol": 1e-9, "atol": 1e-11}

if not SEVERAL:

    def test_more_than_one_process_is_refused_by_name() -> None:
        with pytest.raises(CapabilityError, match=f"{SPEC.name}.*one process.*got 2 processes"):
            load_distributed(None, Mesh(), Processes(count=2))

else:

    @pytest.fixture(scope="module")
    def several(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
        """What two processes found, on each mesh."""
        out = tmp_path_factory.mktemp("several") / "found.json"
        asked = [*MESHES, *["dropout"] * DROPOUT]
        command = [sys.executable, one_of_several.__file__, SPEC.name, str(out), *asked]
        assert launch(command, 2) == 0
        found: dict[str, Any] = json.loads(out.read_text("utf-8"))
        return found

    @pytest.fixture(scope="module")
    def one() -> dict[str, Any]:
        """The same of one process, in the same words."""
        found: dict[str, Any] = json.loads(json.dumps(measure(load_backend())))
        return found

    @pytest.mark.parametrize("mesh", MESHES)
    @pytest.mark.parametrize("what", ["losses", "evaluation", "weights", "moments"])
    def test_two_processes_are_as_one(
        mesh: str, what: str, several: dict[str, Any], one: dict[str, Any]
    ) -> None:
        theirs, own = several[mesh][what], one[what]
        if isinstance(own, dict):
            assert theirs.keys() == own.keys()
            theirs, own = ([x[name] for name in sorted(own)] for x in (theirs, own))
        for x, y in zip(theirs, own, strict=True):
            np.testing.assert_allclose(x, y, **CLOSE)

    @pytest.mark.parametrize("mesh", [mesh for mesh in MESHES if mesh != "data=2"])
    def test_a_process_holds_its_part(
        mesh: str, several: dict[str, Any], one: dict[str, Any]
    ) -> None:
        whole = one["held"]
        # what has no axis to be divided over stays whole: biases, positions
        assert whole / 2 <= several[mesh]["held"] < 0.6 * whole

    if DROPOUT:

        def test_dropout_differs_between_processes(several: dict[str, Any]) -> None:
            """With equal masks the mean over a row and its copy would be that of the row."""
            trainer = made_trainer(
                small_gpt2(**SIZES, **DROPPING), backend=load_backend(), policy=DOUBLE
            )
            state = trainer.start(trainer.model.initial(7))
            _, single = trainer.step(state, [letters_batch(1)])
            assert abs(several["dropped"] - single.norm) > 0.01 * single.norm

    def test_one_that_asks_to_stop_stops_all(several: dict[str, Any]) -> None:
        assert several["asked"] is True

    def test_messages_of_any_length_are_exchanged(several: dict[str, Any]) -> None:
        assert several["said"] == [1, 100]
