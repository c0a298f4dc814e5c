"""What came to an integration's own address leaves as it came."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pdagent.queue.envelope import DEFAULT_TYPE, PATHS, Envelope, form_of, seal, unseal
from pdagent.queue.pending import understand


@given(form=st.sampled_from([*PATHS]), data=st.binary(max_size=300))
def test_any_bytes_come_out_as_they_went_in(form: str, data: bytes) -> None:
    sealed = seal("KEY", Envelope(form, "text/plain", data))
    pending = understand("1_KEY.txt", sealed)
    assert (pending.key, pending.version, pending.action) == ("KEY", form, form)
    assert unseal(json.loads(sealed)) == Envelope(form, "text/plain", data)


def test_what_a_stranger_wrote() -> None:
    """Nothing of it gets into a header or a path."""
    for kind in ("a\r\nX: y", "", 3, "ä", None):
        body: dict[str, object] = {"pdagent_form": "x-ere", "content_type": kind, "body": []}
        assert unseal(body) == Envelope("x-ere", DEFAULT_TYPE, b"")
    forms: list[object] = ["../v2/enqueue", 1, None, [], "v2"]
    assert {form_of({"pdagent_form": form}) for form in forms} == {""}
