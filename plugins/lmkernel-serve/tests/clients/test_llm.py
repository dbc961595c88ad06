"""``llm`` drives the server."""

from __future__ import annotations

from typing import Any


def test_a_message_is_answered_whole_and_in_pieces(caller: Any, monkeypatch: Any) -> None:
    from llm.default_plugins.openai_models import Chat

    client, model = caller
    monkeypatch.setenv("OPENAI_API_KEY", "-")
    made = Chat("ours", model_name="caller", api_base=str(client.base_url))
    made.key = "-"
    expected = model.chat("the cat?", max_new_tokens=60).text
    for stream in (False, True):
        asked = made.prompt("the cat?", stream=stream, temperature=0, max_tokens=60)
        assert asked.text() == expected
