"""Pure protocol: frames, codecs, topics and state machines, with no socket, file or clock."""
