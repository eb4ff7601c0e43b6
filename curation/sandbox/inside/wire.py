"""Plain values as bytes, between processes that do not trust each other.

Decoding builds only plain values (numbers, text, bytes, lists, tuples, sets, dicts), whatever the
bytes are: no pickle, no classes, no code. What is no plain value is left to two hooks. Framing is
a length of four bytes. Standard library only, and little of it: this is loaded per candidate.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing costs more to import than the runner itself
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Hook = Callable[[Any], Any]

MAX_DEPTH = 100
MAX_FRAME = 16 * 1024**2
_PLAIN_INT = 10**18


class WireError(ValueError):
    """The bytes, or the value, cannot be sent."""


class Encoder:
    """Turns values into bytes; ``foreign(value)`` gives a plain stand-in for anything else."""

    def __init__(self, foreign: Hook | None = None) -> None:
        self.foreign = foreign
        self.out: list[bytes] = []

    def encode(self, value: Any) -> bytes:
        """The bytes of ``value``; WireError where a part of it is no plain value."""
        self.out = []
        self._put(value, 0)
        return b"".join(self.out)

    def _put(self, value: Any, depth: int) -> None:
        put = _WRITERS.get(type(value))
        if depth > MAX_DEPTH:
            raise WireError("nested too deeply")
        if put is not None:
            put(self, value, depth + 1)
        elif self.foreign is None:
            raise WireError(f"no plain value: {type(value).__name__}")
        else:
            self.out.append(b"r")
            self._put(self.foreign(value), depth + 1)


def _constant(mark: bytes) -> Callable[[Encoder, Any, int], None]:
    return lambda encoder, value, depth: encoder.out.append(mark)


def _put_bool(encoder: Encoder, value: Any, depth: int) -> None:
    encoder.out.append(b"t" if value else b"f")


def _put_int(encoder: Encoder, value: Any, depth: int) -> None:
    small = -_PLAIN_INT < value < _PLAIN_INT
    encoder.out.append(b"i%d;" % value if small else b"x%x;" % value)


def _put_float(encoder: Encoder, value: Any, depth: int) -> None:
    encoder.out.append(b"d" + repr(value).encode() + b";")


def _put_complex(encoder: Encoder, value: Any, depth: int) -> None:
    encoder.out.append(f"c{value.real!r},{value.imag!r};".encode())


def _put_str(encoder: Encoder, value: Any, depth: int) -> None:
    raw = value.encode("utf-8", "surrogatepass")
    encoder.out.append(b"s%d:" % len(raw) + raw)


def _put_bytes(encoder: Encoder, value: Any, depth: int) -> None:
    encoder.out.append(b"b%d:" % len(value) + bytes(value))


def _many(mark: bytes) -> Callable[[Encoder, Any, int], None]:
    def put(encoder: Encoder, value: Any, depth: int) -> None:
        encoder.out.append(mark + b"%d:" % len(value))
        for item in value:
            encoder._put(item, depth)

    return put


def _put_list(encoder: Encoder, value: Any, depth: int) -> None:
    if len(value) > 8 and set(map(type, value)) == {int} and max(map(abs, value)) < _PLAIN_INT:
        raw = ",".join(map(str, value)).encode()
        encoder.out.append(b"I%d:" % len(raw) + raw)
    else:
        _LIST(encoder, value, depth)


def _put_dict(encoder: Encoder, value: Any, depth: int) -> None:
    encoder.out.append(b"m%d:" % len(value))
    for key, item in value.items():
        encoder._put(key, depth)
        encoder._put(item, depth)


_LIST = _many(b"l")
_WRITERS: dict[type, Callable[[Encoder, Any, int], None]] = {
    type(None): _constant(b"n"),
    bool: _put_bool,
    int: _put_int,
    float: _put_float,
    complex: _put_complex,
    str: _put_str,
    bytes: _put_bytes,
    list: _put_list,
    tuple: _many(b"u"),
    set: _many(b"e"),
    frozenset: _many(b"z"),
    dict: _put_dict,
}


class Decoder:
    """Reads one value back; ``foreign(stand_in)`` makes what it likes of the rest."""

    def __init__(self, foreign: Hook | None = None) -> None:
        self.foreign = foreign
        self.data = b""
        self.at = 0

    def decode(self, data: bytes) -> Any:
        """The value of ``data``; WireError for anything that is not one whole value."""
        self.data, self.at = data, 0
        try:
            value = self._take(0)
        except (ValueError, TypeError, IndexError, KeyError, OverflowError) as problem:
            raise WireError(f"{type(problem).__name__}: {problem}"[:200]) from None
        if self.at != len(data):
            raise WireError("bytes after the value")
        return value

    def _take(self, depth: int) -> Any:
        if depth > MAX_DEPTH + 2:
            raise WireError("nested too deeply")
        mark = self.data[self.at]
        self.at += 1
        return _READERS[mark](self, depth + 1)

    def until(self, mark: bytes) -> bytes:
        """The bytes up to ``mark``, which is passed over."""
        end = self.data.index(mark, self.at)
        piece = self.data[self.at : end]
        self.at = end + 1
        return piece

    def sized(self) -> bytes:
        """A length, and as many bytes."""
        size = self.size()
        piece = self.data[self.at : self.at + size]
        self.at += size
        return piece

    def size(self) -> int:
        """A count, never more than there are bytes left."""
        size = int(self.until(b":"))
        if not 0 <= size <= len(self.data) - self.at:
            raise WireError("a count that cannot be")
        return size

    def items(self, depth: int) -> list[Any]:
        """As many values as the count says."""
        return [self._take(depth) for _ in range(self.size())]


def _pairs(decoder: Decoder, depth: int) -> dict[Any, Any]:
    return {decoder._take(depth): decoder._take(depth) for _ in range(decoder.size())}


def _complex(decoder: Decoder, depth: int) -> complex:
    real, imaginary = decoder.until(b";").split(b",")
    return complex(float(real), float(imaginary))


def _numbers(decoder: Decoder, depth: int) -> list[int]:
    return [int(piece) for piece in decoder.sized().split(b",")]


def _other(decoder: Decoder, depth: int) -> Any:
    stand_in = decoder._take(depth)
    if decoder.foreign is None:
        raise WireError("something that is no plain value")
    return decoder.foreign(stand_in)


_READERS: dict[int, Callable[[Decoder, int], Any]] = {
    ord("n"): lambda decoder, depth: None,
    ord("t"): lambda decoder, depth: True,
    ord("f"): lambda decoder, depth: False,
    ord("i"): lambda decoder, depth: int(decoder.until(b";")),
    ord("x"): lambda decoder, depth: int(decoder.until(b";"), 16),
    ord("d"): lambda decoder, depth: float(decoder.until(b";")),
    ord("c"): _complex,
    ord("s"): lambda decoder, depth: decoder.sized().decode("utf-8", "surrogatepass"),
    ord("b"): lambda decoder, depth: decoder.sized(),
    ord("l"): lambda decoder, depth: decoder.items(depth),
    ord("I"): _numbers,
    ord("u"): lambda decoder, depth: tuple(decoder.items(depth)),
    ord("e"): lambda decoder, depth: set(decoder.items(depth)),
    ord("z"): lambda decoder, depth: frozenset(decoder.items(depth)),
    ord("m"): _pairs,
    ord("r"): _other,
}


def frame(payload: bytes) -> bytes:
    """A payload with its length before it; WireError over MAX_FRAME."""
    if len(payload) > MAX_FRAME:
        raise WireError("too large to send")
    return len(payload).to_bytes(4, "big") + payload


def read_frame(read: Callable[[int], bytes], limit: int = MAX_FRAME) -> bytes:
    """One payload from ``read(n)`` (at most n bytes, empty at the end).

    EOFError at the end or in the middle of a frame, WireError over ``limit``.
    """
    size = int.from_bytes(_exactly(read, 4), "big")
    if size > limit:
        raise WireError("a frame over the limit")
    return _exactly(read, size)


def _exactly(read: Callable[[int], bytes], size: int) -> bytes:
    pieces = []
    while size:
        piece = read(min(size, 1 << 20))
        if not piece:
            raise EOFError("the other side is gone")
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
