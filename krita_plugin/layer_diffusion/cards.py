"""Results as a history keeps them: one card for each image of a result, without Qt and without I/O.

Its record is one line of JSON, then its thumbnail and its pixels, each compressed by zlib without loss.
"""

from __future__ import annotations

import base64
import itertools
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Protocol

from .geometry import Area
from .jobs import Job, title
from .pixels import Picture
from .protocol.job import LayerHeader, LayerSetHeader
from .protocol.limits import MAX_SEED
from .protocol.messages import Done, build
from .protocol.request import Request, Role
from .stored import outline, read_done, read_outline, read_typed

QUICK = 1
"""The level of compression: more takes several times as long and saves a tenth."""
PIECE = 1024**2
"""Bytes that are taken apart in one step, in which no other thread goes on; a multiple of 4."""
Thumbnail = tuple[int, int, bytes]
"""Width, height and straight BGRA."""


class Record(Protocol):
    """A card as it is stored, of which parts are read, as of `bytes`: to read all of it would make Krita wait."""

    def __len__(self) -> int: ...  # noqa: D105

    def __getitem__(self, part: slice, /) -> bytes: ...  # noqa: D105

    def find(self, part: bytes, /) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class Card:
    """One image of a result: everything to show it, insert it and make it again.

    Attributes:
        job, image: where it comes from; together they name it.
        layer_set: what was asked for, as one image with the seed of this one, and what its layers are.
        area: of the document, in which it lies.
        outlines: its pictures, bottom first, without their pixels.
        thumbnail: what is seen of it.
        record, start: where the pixels of its pictures and of its request's inputs are, and from which byte on.
        made: seconds since the epoch.
        favourite: whether it stays when the history has no more room.
        source: id of the layer that it was to replace, "" when of none.
        typed: the prompt without the words of a style, None where that is not known.
        clip: what `softness` returns, compressed by zlib and as base64; empty where nothing clips it.
    """

    job: str
    image: int
    layer_set: LayerSetHeader
    area: Area
    outlines: tuple[Picture, ...]
    thumbnail: Thumbnail
    record: Record = field(compare=False)
    start: int = field(compare=False)
    made: float
    favourite: bool = False
    source: str = ""
    typed: str | None = None
    clip: str = ""

    @property
    def softness(self) -> bytes | None:
        """What its pictures were clipped by, one byte for each pixel of `area`, and are to be when made again."""
        try:
            clip = zlib.decompress(base64.b64decode(self.clip))
        except (ValueError, zlib.error):
            return None  # damaged, which costs less than the card
        return clip if len(clip) == self.area.width * self.area.height else None

    @property
    def id(self) -> str:
        """Its name among all cards."""
        return f"{self.job}-{self.image}"

    @property
    def request(self) -> Request:
        """What makes it again."""
        return self.layer_set.request

    @property
    def prompt(self) -> str:
        """The prompt as the person typed it."""
        return self.request.prompt if self.typed is None else self.typed

    @property
    def name(self) -> str:
        """What its group is called."""
        return title(self.request, self.typed)

    @property
    def roles(self) -> tuple[Role, ...]:
        """What its pictures are, bottom first."""
        return tuple(layer.role for layer in self.layer_set.layers)

    @property
    def advice(self) -> str:
        """What is wrong with its transparency and what to do, in the backend's words; "" when nothing is."""
        said = (layer.verdict.advice for layer in self.layer_set.layers if layer.verdict is not None)
        return " ".join(dict.fromkeys(filter(None, said)))

    def unpack(self) -> tuple[tuple[Picture, ...], tuple[bytes, ...]]:
        """Return its pictures and the straight RGBA of its request's inputs. Raises `ValueError` when damaged.

        It takes about 10 ms for each megapixel, in which other threads go on.
        """
        sizes = [picture.area.width * picture.area.height * 4 for picture in self.outlines]
        sizes += [picture.size for picture in self.request.inputs]
        planes = self._planes(sum(sizes))
        pixels, start = [], 0
        for size in sizes:
            pixels.append(_interleaved(memoryview(planes)[start : start + size]))
            start += size
        count = len(self.outlines)
        pictures = tuple(replace(one, pixels=data) for one, data in zip(self.outlines, pixels[:count], strict=True))
        return pictures, tuple(pixels[count:])

    def _planes(self, length: int) -> bytearray:
        planes, unpacker = bytearray(), zlib.decompressobj()
        try:
            for start in range(self.start, len(self.record), PIECE):
                piece = self.record[start : start + PIECE]
                while piece:
                    planes += unpacker.decompress(piece, PIECE)
                    piece = unpacker.unconsumed_tail
                    if len(planes) > length:
                        raise ValueError(self.id)
            planes += unpacker.flush()
        except zlib.error as error:
            raise ValueError(self.id) from error
        if len(planes) != length or not unpacker.eof:
            raise ValueError(self.id)
        return planes


def read(record: Record) -> Card:
    """Read the record of a card, which an earlier version may have written; its pixels are left where they are.

    Raises `ValueError`, `KeyError`, `TypeError` or `LayerDiffusionError` for anything else; the pixels are looked at by
    `Card.unpack`.
    """
    end = record.find(b"\n") + 1
    head = json.loads(record[:end])
    done = read_done(head["done"])
    width, height, length = (int(value) for value in head["thumbnail"])
    try:
        small = zlib.decompress(record[end : end + length])
    except zlib.error as error:
        raise ValueError(done.job) from error
    outlines = tuple(read_outline(value) for value in head["pictures"])
    if len(small) != width * height * 4 or len(outlines) != len(done.layer_set.layers):
        raise ValueError(done.job)
    return Card(
        done.job, int(head["image"]), done.layer_set, Area(*map(int, head["area"])), outlines, (width, height, small),
        record, end + length, float(head["made"]),
        # Earlier versions kept this here, and did not know the rest.
        bool(head.get("favourite", False)), str(head.get("source", "")), read_typed(head),
        str(head.get("clip", "")),
    )  # fmt: skip


def cards_of(
    job: Job, inputs: Sequence[bytes], layer_set: LayerSetHeader, ready: Sequence[Picture], made: float,
    draw: Callable[[Sequence[Picture]], Thumbnail], hold: Callable[[Iterable[bytes]], Record],
) -> tuple[Card, ...]:  # fmt: skip
    """Return the cards of a result whose layers are ready for the document.

    `inputs` are the pixels of the request's inputs, `draw` makes the thumbnail, and `hold` a record of its parts. It
    takes about 40 ms for each megapixel, in which other threads go on: not for the GUI thread.
    """
    cards = []
    clip = base64.b64encode(zlib.compress(job.softness, QUICK)).decode() if job.softness is not None else ""
    for image in sorted({picture.image for picture in ready}):
        headers = tuple(replace(layer, image=0) for layer in layer_set.layers if layer.image == image)
        pictures = [replace(picture, image=0) for picture in ready if picture.image == image]
        seed = layer_set.request.seed
        request = replace(layer_set.request, batch=1, seed=_first_seed(seed, headers) if image else seed)
        header = LayerSetHeader(request, headers, layer_set.made_with)
        width, height, pixels = draw(pictures)
        small = zlib.compress(pixels, QUICK)
        head = {
            "done": build(Done(job.id, header, len(pictures))), "image": image, "area": astuple(job.area),
            "pictures": [outline(picture) for picture in pictures], "thumbnail": [width, height, len(small)],
            "made": made, "source": job.source, "typed": job.typed, "clip": clip,
        }  # fmt: skip
        packed = _packed([picture.pixels for picture in pictures] + list(inputs))
        cards.append(read(hold(itertools.chain((json.dumps(head).encode(), b"\n", small), packed))))
    return tuple(cards)


def _first_seed(seed: int, layers: Sequence[LayerHeader]) -> int:
    """The seed that makes these layers as those of the first image: seeds count on from it."""
    modulus = MAX_SEED + 1
    return (seed + min((layer.seed - seed) % modulus for layer in layers)) % modulus


def _packed(pixels: Sequence[bytes]) -> Iterator[bytes]:
    """Compress each channel for itself, which takes less room than pixel by pixel."""
    packer = zlib.compressobj(QUICK)
    for data in pixels:
        for channel in range(4):
            for start in range(0, len(data), PIECE):
                yield packer.compress(data[start + channel : start + PIECE : 4])
    yield packer.flush()


def _interleaved(planes: memoryview) -> bytes:
    length = len(planes) // 4
    pixels = bytearray(4 * length)
    for channel in range(4):
        plane = planes[channel * length : (channel + 1) * length]
        for start in range(0, len(pixels), PIECE):
            pixels[start + channel : start + PIECE : 4] = plane[start // 4 : (start + PIECE) // 4]
    return bytes(pixels)
