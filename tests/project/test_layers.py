"""Imports go down only, and the rules that say so find what breaks them."""

from pathlib import Path

import pytest

from tests.support.essentials import ROOT
from tests.support.layers import (
    RULES,
    Rule,
    Sources,
    crowded,
    cyclic,
    hidden,
    imports,
    impure,
    own_contexts,
    pattern_modules,
    read_sources,
    sideways,
    upward,
    without_layer,
)


@pytest.fixture(scope="module")
def sources() -> Sources:
    return read_sources(ROOT / "colugo")


@pytest.mark.parametrize("rule", RULES, ids=[rule.__name__ for rule in RULES])
def test_the_package_keeps_the_rule(rule: Rule, sources: Sources) -> None:
    assert list(rule(sources)) == []


def test_the_whole_package_is_read(sources: Sources) -> None:
    assert {"colugo", "colugo.errors", "colugo.node", "colugo.protocol", "colugo.protocol.frames"} <= set(
        sources
    )
    assert len(imports(sources)) > 100


def test_the_modules_of_the_patterns_are_found_by_what_node_makes(sources: Sources) -> None:
    names = {module.rpartition(".")[2] for module in pattern_modules(sources)}
    assert {"publisher", "subscriber", "request_client", "reply_server", "repeater", "delayed"} <= names
    assert {"stream", "consumer"} <= names
    assert not {"base", "callbacks", "gate", "inbox", "links", "keeper"} & names


# --- the rules find what breaks them

CLEAN: Sources = {
    "colugo": "from colugo.node import Node\nfrom colugo.patterns.pubsub.publisher import Publisher\n",
    "colugo.errors": '"""Errors."""\n',
    "colugo.protocol": "",
    "colugo.protocol.frames": "import struct\nfrom colugo.errors import FrameError\n",
    "colugo.net": "",
    "colugo.net.transport.sockets": "import zmq\nfrom colugo.protocol import frames\n"
    "context = zmq.Context()\n",
    "colugo.net.message": "class Message: ...\nclass _Own: ...\n",
    "colugo.patterns": "",
    "colugo.patterns.base": "from colugo.net.transport.sockets import bind\n",
    "colugo.patterns.pubsub.publisher": "from .base import check\nDEFAULT_HWM = 10\n",
    "colugo.patterns.pubsub.subscriber": "from colugo.patterns.base import check\n",
    "colugo.patterns.kept": "",
    "colugo.patterns.kept.queue": "from colugo.patterns.base import check\n",
    "colugo.patterns.kept.journal": "from colugo.patterns.kept.queue import Queue\n",
    "colugo.node": "from colugo.patterns.pubsub.publisher import DEFAULT_HWM, Publisher\n"
    "from colugo.patterns.pubsub.subscriber import Subscriber\n"
    "from colugo.patterns.base import check\n"
    "def add():\n    return Publisher(), Subscriber()\n",
    "colugo.relay": "from colugo.node import Node\n",
    "colugo.service": "",
    "colugo.service.engine": "from colugo.service import base\n",
    "colugo.service.base": "from colugo.node import Node\n",
    "colugo.cli": "",
    "colugo.cli.main": "import colugo\nfrom colugo.relay import Relay\nfrom colugo.cli import demo\n",
    "colugo.cli.demo": "import asyncio\nimport click\ndef run(context: click.Context):\n    return context\n",
}
PLANTED = [
    (without_layer, "colugo.helpers", "", "colugo.helpers has no layer"),
    (without_layer, "colugo.tools.paths", "", "give tools its line"),
    (
        upward,
        "colugo.protocol.codecs",
        "from colugo.net.transport.sockets import bind",
        "line 1, imports colugo.net.transport.sockets",
    ),
    (upward, "colugo.protocol.codecs", "\nimport colugo.patterns.base\n", "up from layer 1 to 3"),
    (
        upward,
        "colugo.protocol.codecs",
        "from ..net.transport import sockets",
        "imports colugo.net.transport.sockets",
    ),
    (upward, "colugo.net", "from ..patterns import base", "colugo.net, line 1, imports colugo.patterns.base"),
    (
        upward,
        "colugo.patterns.gate",
        "if True:\n    from colugo.node import Node",
        "line 2, imports colugo.node",
    ),
    (upward, "colugo.patterns.gate", "from colugo import Node", "imports colugo: up from layer 3 to 6"),
    (upward, "colugo.patterns.gate", "from colugo import relay", "imports colugo.relay"),
    (upward, "colugo.node", "import colugo.cli.main as main", "up from layer 4 to 6"),
    (
        sideways,
        "colugo.patterns.pubsub.subscriber",
        "from colugo.patterns.pubsub.publisher import DEFAULT_HWM",
        "a pattern",
    ),
    (
        sideways,
        "colugo.patterns.base",
        "from .pubsub import publisher",
        "imports colugo.patterns.pubsub.publisher",
    ),
    (
        sideways,
        "colugo.patterns.pubsub.subscriber",
        "from colugo.patterns.kept.queue import Queue",
        "a folder that is one pattern's",
    ),
    (sideways, "colugo.relay", "from colugo.service.base import Service", "sideways within layer 5"),
    (sideways, "colugo.testing", "import colugo.relay", "sideways within layer 5"),
    (impure, "colugo.errors", "import enum", "layer 0 imports nothing"),
    (impure, "colugo.protocol.frames", "import time", "imports time: protocol/ is pure"),
    (impure, "colugo.protocol.frames", "from os.path import join", "imports os.path: protocol/ is pure"),
    (impure, "colugo.protocol.frames", "import zmq.asyncio", "imports zmq.asyncio: protocol/ is pure"),
    (impure, "colugo.protocol.frames", "x = 1\nopen('file')", "line 2, calls open()"),
    (
        hidden,
        "colugo.net.transport.host",
        "def host():\n    import socket",
        "line 2, imports socket inside a function",
    ),
    (
        hidden,
        "colugo.net.transport.host",
        "class A:\n  async def b(self):\n    from os import sep",
        "line 3, imports os inside",
    ),
    (cyclic, "colugo.net.transport.sockets", "import colugo.net.transport.host", "a cycle of imports"),
    (cyclic, "colugo.service.base", "from .engine import Engine", "colugo.service.engine"),
    (
        own_contexts,
        "colugo.patterns.base",
        "import zmq\nzmq.Context.instance()",
        "line 2: sockets are made in",
    ),
    (own_contexts, "colugo.net.transport.host", "from zmq import Context", "line 1: sockets are made in"),
]


@pytest.mark.parametrize("rule", RULES, ids=[rule.__name__ for rule in RULES])
def test_a_clean_tree_passes(rule: Rule) -> None:
    assert list(rule(CLEAN)) == []


@pytest.mark.parametrize(("rule", "module", "source", "finding"), PLANTED)
def test_a_planted_violation_is_found(rule: Rule, module: str, source: str, finding: str) -> None:
    tree = {"colugo.net.transport.host": "import colugo.net.transport.sockets\n", **CLEAN, module: source}
    findings = list(rule(tree))
    assert len(findings) == 1
    assert finding in findings[0]


def test_a_folder_with_too_many_modules_is_found() -> None:
    tree = {**CLEAN, **{f"colugo.net.part{number}": "" for number in range(20)}}
    assert list(crowded(tree)) == ["colugo.net has 21 modules: give one of its nouns a folder"]


def test_a_tree_is_read_from_its_folder(tmp_path: Path) -> None:
    package = tmp_path / "colugo"
    (package / "net").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "net" / "__init__.py").write_text("import zmq\n")
    (package / "net" / "host.py").write_text("from .. import errors\n")
    (package / "errors.py").write_text("")
    (package / "BUILD").write_text("import nothing")
    sources = read_sources(package)
    assert sorted(sources) == ["colugo", "colugo.errors", "colugo.net", "colugo.net.host"]
    assert [str(one) for one in imports(sources)] == [
        "colugo.net, line 1, imports zmq",
        "colugo.net.host, line 1, imports colugo.errors",
    ]
