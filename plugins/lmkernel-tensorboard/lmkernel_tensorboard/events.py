"""The messages of a run in the form that TensorBoard reads.

Constraints: uses only those of TensorBoard's definitions that do not import TensorFlow. Numbers are
rounded to 32 bits: of TensorBoard's two kinds of scalar only this one is dropped by every reader
where a resumed run replaces it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.plugins.hparams.api_pb2 import STATUS_SUCCESS
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.text.summary_v2 import text_pb

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["beginning", "end", "numbers", "settings", "status"]

_EXACT = 2**53
"""The largest setting that a 64-bit float, in which TensorBoard keeps it, holds exactly."""


def beginning(first: int) -> list[Event]:
    """The version of the format, and a restart that discards everything from step ``first`` on."""
    restart = SessionLog(status=SessionLog.START)
    return [
        Event(wall_time=time.time(), file_version="brain.Event:2"),
        Event(wall_time=time.time(), step=first, session_log=restart),
    ]


def numbers(step: int, values: Mapping[str, float]) -> Event:
    """Numbers by name at a step."""
    value = [Summary.Value(tag=tag, simple_value=float(value)) for tag, value in values.items()]
    return _event(step, Summary(value=value))


def settings(step: int, values: Mapping[str, Any]) -> Event:
    """The settings of a run, as hyperparameters."""
    return _event(step, hparams_pb({name: _setting(value) for name, value in values.items()}))


def status(step: int, text: str) -> Event:
    """The status with which a session ended, as text."""
    return _event(step, text_pb("status", text))


def end(step: int) -> Event:
    """The end of a finished run; written once, since readers keep the first that they find."""
    info = SessionEndInfo(status=STATUS_SUCCESS, end_time_secs=time.time())
    value = Summary.Value(
        tag=hparams.SESSION_END_INFO_TAG,
        metadata=hparams.create_summary_metadata(HParamsPluginData(session_end_info=info)),
        tensor=hparams.NULL_TENSOR,
    )
    return _event(step, Summary(value=[value]))


def _event(step: int, summary: Summary) -> Event:
    return Event(wall_time=time.time(), step=step, summary=summary)


def _setting(value: Any) -> Any:
    large = isinstance(value, int) and abs(value) > _EXACT
    return str(value) if large else value
