from hypothesis import given
from hypothesis import strategies as st

from logban.netlink import attribute, attributes, nested, number, text


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=40))))
def test_attributes_are_read_as_they_were_made(made: list[tuple[int, bytes]]) -> None:
    data = b"".join(attribute(kind, payload) for kind, payload in made)

    assert len(data) % 4 == 0
    assert list(attributes(data)) == made


def test_flags_of_nesting_and_byte_order_are_not_part_of_the_type() -> None:
    data = nested(7, text(2, "logban4"), number(6, ">I", 60))

    ((kind, inside),) = attributes(data)
    assert kind == 7
    assert list(attributes(inside)) == [(2, b"logban4\0"), (6, bytes([0, 0, 0, 60]))]


@given(st.binary(max_size=60))
def test_torn_attributes_end_the_reading(data: bytes) -> None:
    assert len(list(attributes(data))) <= len(data) // 4
