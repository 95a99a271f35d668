"""A dispatcher with producers that say when they are asked. Options: `topic`, `labels`, `delay_ms`."""

import json
import sys
import threading
from typing import Any

from tests.support.dispatching import Echo, dispatching


class Telling(Echo):
    """Says so first."""

    def produce_dispatcher_output(self, topic: str, *args: Any, **kwargs: Any) -> Any:
        print("asked", flush=True)
        return super().produce_dispatcher_output(topic, *args, **kwargs)


options = json.loads(sys.argv[1])
members = [Telling(label, options.get("delay_ms", 0)) for label in options["labels"]]
with dispatching(*members, topic=options["topic"], node=f"producers {options['labels'][0]}"):
    print("ready", flush=True)
    threading.Event().wait()  # until it is killed
