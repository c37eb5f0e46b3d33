"""Reed-Solomon: blocks that bring back others which are lost. The only importer of `zfec`."""

from collections.abc import Mapping, Sequence

from resile.clients._extras import require


def parity_of(blocks: Sequence[bytes], parity_blocks: int) -> list[bytes]:
    """Make parity for blocks of one length.

    Args:
        blocks: At most 250.
        parity_blocks: So many may be lost.

    Raises:
        MissingExtraError: If `zfec` is not installed.
    """
    zfec = require("zfec", extra="parity")
    count = len(blocks)
    encoder = zfec.Encoder(count, count + parity_blocks)
    numbers = tuple(range(count, count + parity_blocks))
    return [bytes(block) for block in encoder.encode(tuple(blocks), numbers)]


def bring_back(blocks: Mapping[int, bytes], count: int, parity_blocks: int) -> list[bytes]:
    """Give all blocks of a group, from those that are left.

    Args:
        blocks: The good ones by number, parity blocks from `count` on; at least `count` of them.
        count: How many blocks the group has without parity.
        parity_blocks: How many more it has.

    Raises:
        MissingExtraError: If `zfec` is not installed.
        AssertionError: If too few are left.
    """
    if len(blocks) < count:
        raise AssertionError(f"{len(blocks)} of {count} blocks are too few")
    zfec = require("zfec", extra="parity")
    numbers = sorted(blocks)[:count]
    decoder = zfec.Decoder(count, count + parity_blocks)
    found = decoder.decode(tuple(blocks[number] for number in numbers), tuple(numbers))
    return [bytes(block) for block in found]
