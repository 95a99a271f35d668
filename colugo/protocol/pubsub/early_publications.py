"""Publications that come before the advertisement of their publisher. Pure."""

from colugo.protocol.pubsub.publications import Publication

_MAX_PUBLISHERS = 16
_MAX_BYTES = 4 * 1024 * 1024
_OVERHEAD_BYTES = 200


class EarlyPublications:
    """A bounded store of publications, by publisher.

    Attributes:
        bytes: the estimated memory in use.
    """

    def __init__(self) -> None:
        self._batches: dict[bytes, list[Publication]] = {}
        self.bytes = 0

    def __contains__(self, publisher: bytes) -> bool:
        return publisher in self._batches

    def __len__(self) -> int:
        return len(self._batches)

    def expect(self, publisher: bytes) -> bool:
        """Begin to keep the publications of a publisher.

        Returns:
            True if they were not kept before; False also if there are too many publishers already.
        """
        if publisher in self._batches or len(self._batches) == _MAX_PUBLISHERS:
            return False
        self._batches[publisher] = []
        return True

    def keep(self, publication: Publication) -> bool:
        """Keep a publication.

        Returns:
            False if its publisher is not expected or too much is kept already.
        """
        batches = self._batches.get(publication.publisher)
        size = _memory(publication)
        if batches is None or self.bytes + size > _MAX_BYTES:
            return False
        self.bytes += size
        batches.append(publication)
        return True

    def take(self, publisher: bytes) -> list[Publication]:
        """Remove and return the publications of a publisher."""
        batches = self._batches.pop(publisher, [])
        self.bytes -= sum(map(_memory, batches))
        return batches


def _memory(publication: Publication) -> int:
    """Estimate the bytes that it takes to keep a publication."""
    return len(publication.body) + 8 * len(publication.lengths) + _OVERHEAD_BYTES
