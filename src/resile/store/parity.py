"""Parity for packs: two blocks of twenty may be lost, and come back from the others.

For a store that has no second one. It takes a tenth of the space, and mends a pack bit for bit.
"""

from collections.abc import Collection, Iterator

from blake3 import blake3

from resile.clients.reed_solomon import bring_back, parity_of
from resile.errors import StoreDamagedError
from resile.store.format.frames import (
    FRAME_BYTES,
    HEADER_BYTES,
    FileKind,
    FrameKind,
    decode_frame,
    decode_header,
)
from resile.store.format.packs import FileWriter, open_frame
from resile.store.format.parity import ParityRecord, decode_parity, encode_parity
from resile.store.repository import Repository

FOLDER = "parity"
BLOCK_BYTES = 1 << 20
GROUP_BLOCKS = 20
PARITY_BLOCKS = 2


def add_parity(repository: Repository) -> int:
    """Make parity for each pack that has none, and remove that of packs that are gone.

    Durable and idempotent. A damaged pack gets none. A damaged parity file is removed and made
    anew: nothing is lost with it.

    Returns:
        How many were made.

    Raises:
        MissingExtraError: If `zfec` is not installed.
        StoreError: If one could not be written, or `gc` removes packs all the time.
    """
    with repository.backend.hold(is_exclusive=False):
        packs = {file.name: file.size_bytes for file in repository.backend.list("packs")}
        covered = _covered(repository, packs.keys())
        return sum(_make(repository, name, packs[name]) for name in sorted(packs.keys() - covered))


def drop_parity(repository: Repository) -> None:
    """Remove the parity of packs that are gone; the caller holds the store alone. Idempotent."""
    _covered(repository, {file.name for file in repository.backend.list("packs")})


def find_parity(repository: Repository, pack: str) -> str:
    """Name the parity file of a pack; empty if there is none that can be read."""
    for file in repository.backend.list(FOLDER):
        try:
            record, _ = _open(repository, file.name)
        except StoreDamagedError:
            continue
        if record.pack == pack:
            return file.name
    return ""


def mended_windows(repository: Repository, pack: str, parity: str) -> Iterator[bytes]:
    """Give a damaged pack's bytes as they were, group by group; checked as a whole at the end.

    Raises:
        StoreDamagedError: If more is damaged than parity brings back; perhaps after some bytes.
        MissingExtraError: If `zfec` is not installed.
    """
    record, start = _open(repository, parity)
    hash_ = blake3()
    group_bytes = record.block_bytes * record.group_blocks
    for group, offset in enumerate(range(0, record.size_bytes, group_bytes)):
        data = _read(repository, pack, offset, group_bytes)
        good = {
            number: block
            for number, block in enumerate(_blocks(data, record))
            if blake3(block).digest() == record.sums[group * record.group_blocks + number]
        }
        if len(good) < record.group_blocks:
            good |= _parity_blocks(repository, parity, record, start, group)
            if len(good) < record.group_blocks:
                raise StoreDamagedError(f"{pack} is damaged beyond its parity", name=pack)
        blocks = bring_back(good, record.group_blocks, record.parity_blocks)
        window = b"".join(blocks)[: record.size_bytes - offset]
        hash_.update(window)
        yield window
    if hash_.hexdigest() != pack.rpartition("/")[2]:
        raise StoreDamagedError(f"the parity of {pack} does not bring it back", name=pack)


def _covered(repository: Repository, packs: Collection[str]) -> set[str]:
    """Name the packs that have parity; remove what is damaged, or of a pack that is gone."""
    covered = set()
    for file in list(repository.backend.list(FOLDER)):
        try:
            record, _ = _open(repository, file.name)
        except StoreDamagedError:
            repository.backend.remove(file.name)
            continue
        if record.pack in packs:
            covered.add(record.pack)
        else:
            repository.backend.remove(file.name)
    return covered


def _make(repository: Repository, pack: str, size: int) -> int:
    """Make the parity of a pack; 0 if the pack is damaged."""
    shape = ParityRecord(
        pack=pack,
        size_bytes=size,
        block_bytes=BLOCK_BYTES,
        group_blocks=GROUP_BLOCKS,
        parity_blocks=PARITY_BLOCKS,
        sums=(),
    )
    hash_ = blake3()
    sums: list[bytes] = []
    made: list[bytes] = []
    for offset in range(0, size, BLOCK_BYTES * GROUP_BLOCKS):
        data = repository.backend.read(pack, offset, BLOCK_BYTES * GROUP_BLOCKS)
        hash_.update(data)
        blocks = _blocks(data, shape)
        sums += [blake3(block).digest() for block in blocks]
        made += parity_of(blocks, PARITY_BLOCKS)
    if hash_.hexdigest() != pack.rpartition("/")[2]:
        return 0
    upload = repository.backend.begin()
    try:
        file = FileWriter(
            upload,
            FileKind.PARITY,
            keys=repository.keys,
            store_id=repository.store_id,
            coder=repository.coder(),
        )
        file.add_frame(FrameKind.RECORD, encode_parity(shape.with_sums(sums)))
        for block in made:
            file.add_frame(FrameKind.DATA, block)
        file.publish(FOLDER)
    finally:
        upload.abandon()
    return 1


def _blocks(data: bytes, record: ParityRecord) -> list[bytes]:
    """Cut a group into blocks; the last ones are filled up with zeros, so that it is whole."""
    cut = [data[at : at + record.block_bytes] for at in range(0, len(data), record.block_bytes)]
    cut += [b""] * (record.group_blocks - len(cut))
    return [block.ljust(record.block_bytes, b"\0") for block in cut]


def _read(repository: Repository, pack: str, offset: int, length: int) -> bytes:
    """Read a range of a pack that may be cut, or gone."""
    try:
        return repository.backend.read(pack, offset, length)
    except StoreDamagedError:
        return b""


def _parity_blocks(
    repository: Repository, name: str, record: ParityRecord, start: int, group: int
) -> dict[int, bytes]:
    """Read the parity of a group, what can be read of it."""
    box = repository.box(name)
    found = {}
    offset = start
    for number in range((group + 1) * record.parity_blocks):
        head = repository.backend.read(name, offset, FRAME_BYTES)
        frame, _ = decode_frame(head, offset, name)
        if number >= group * record.parity_blocks:
            try:
                data = repository.backend.read(name, offset, frame.length)
                block = open_frame(data, offset, box=box, coder=repository.coder(), name=name)
                found[record.group_blocks + number % record.parity_blocks] = block
            except StoreDamagedError:
                pass  # The other one may suffice.
        offset += frame.length
    return found


def _open(repository: Repository, name: str) -> tuple[ParityRecord, int]:
    """Read what a parity file is of, and where its blocks begin.

    Raises:
        StoreDamagedError: If it cannot be read.
    """
    header = decode_header(repository.backend.read(name, 0, HEADER_BYTES), name)
    if header.kind is not FileKind.PARITY:
        raise StoreDamagedError(f"{name} is no parity", name=name)
    head = repository.backend.read(name, HEADER_BYTES, FRAME_BYTES)
    frame, _ = decode_frame(head, HEADER_BYTES, name)
    data = repository.backend.read(name, HEADER_BYTES, frame.length)
    raw = open_frame(
        data, HEADER_BYTES, box=repository.box(name), coder=repository.coder(), name=name
    )
    return decode_parity(raw, name), HEADER_BYTES + frame.length
