"""Turning the hooks on and off: what is found, what is refused and why, and that nothing is left behind."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import textwrap
import threading

import anthropic
import openai
import pytest

from costspan import hooks
from costspan.hooks import FLOORS, abandoned, patch, selftest
from costspan.hooks.report import Instrumentation, Sdk, State
from costspan.journal import adopt
from fix_sdk import CHAT, MESSAGES, chat_stream
from loopback import Json

CHAT_HELLO = {"messages": MESSAGES, "model": "gpt-5"}


def functions():
    """Every function that is patched, as it is now."""
    return {
        (name, point.owner.__qualname__, point.name): vars(point.owner).get(point.name)
        for name in FLOORS
        for point in patch.points(name)
    }


def run(code: str, *arguments: str) -> str:
    """Run ``code`` in a Python of its own; return what it printed."""
    source = textwrap.dedent(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COSTSPAN_RAISE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", source, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_same_functions_come_back(meter):
    """After `uninstrument()` each function is the very object that it was, and no finder of ours is left."""
    before = functions()
    finders = list(sys.meta_path)

    hooks.instrument(meter)
    during = functions()
    hooks.uninstrument()

    assert functions() == before
    assert all(during[key] is not before[key] for key in before if before[key] is not None)
    assert sys.meta_path == finders
    assert not any(thread.name == "costspan-abandoned" for thread in threading.enumerate())


def test_twice_is_once(server, gpt, meter, kept):
    """A second `instrument()` hooks nothing again: one call is one row."""
    once = functions()
    hooks.instrument(meter)
    server.answer(Json(CHAT))

    gpt.chat.completions.create(**CHAT_HELLO)

    assert functions() == once
    assert len(kept.calls) == 1


def test_uninstrumented_calls_are_not_metered(server, gpt, meter):
    """After `uninstrument()` nothing is announced, and clients keep working."""
    server.otherwise = Json(CHAT)
    hooks.instrument(meter)
    hooks.uninstrument()

    answer = gpt.chat.completions.create(**CHAT_HELLO)

    assert answer.id == "chatcmpl-1"
    assert meter.journal.stats.intents == 0


@pytest.mark.parametrize("is_begun", [False, True])
def test_stream_that_is_open_survives_uninstrument(server, gpt, kept, is_begun):
    """A stream that is open when the hooks go is read as ever, without the extra chunk, and is one row."""
    server.answer(chat_stream(3))

    stream = gpt.chat.completions.create(**CHAT_HELLO, stream=True)
    first = [next(stream)] if is_begun else []
    hooks.uninstrument()
    chunks = [*first, *stream]

    assert len(chunks) == 5
    assert all(chunk.choices for chunk in chunks)
    assert kept.call().status == "priced"


async def test_asynchronous_stream_that_is_open_survives_uninstrument(server, agpt, kept):
    """An asynchronous one too, before its first chunk."""
    server.answer(chat_stream(3))

    stream = await agpt.chat.completions.create(**CHAT_HELLO, stream=True)
    hooks.uninstrument()
    chunks = [chunk async for chunk in stream]

    assert all(chunk.choices for chunk in chunks)
    assert (len(chunks), kept.call().status) == (5, "priced")


def test_report_says_what_is_hooked(meter):
    """The report names each SDK with its version and state, in words too."""
    report = hooks.instrument(meter)

    assert report == hooks.report()
    assert report.is_complete
    assert str(report) == f"openai {openai.__version__}: hooked; anthropic {anthropic.__version__}: hooked"


def test_report_of_a_refusal():
    """A refused SDK says why; an absent one is nobody's fault."""
    report = Instrumentation((Sdk("openai", State.REFUSED, "1.0.0", "too old"), Sdk("anthropic", State.ABSENT)))

    assert not report.is_complete
    assert str(report) == "openai 1.0.0: refused (too old); anthropic: absent"


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("1.25.9", "openai 1.26 is the oldest version that can be metered"),
        ("0.28.1", "openai 1.26 is the oldest version that can be metered"),
        ("unknown", "its version 'unknown' cannot be read"),
        ("", "its version '' cannot be read"),
    ],
)
def test_old_sdk_is_left_alone_with_one_warning(meter, monkeypatch, caplog, version, reason):
    """Too old, or of no version: not touched, and said once and clearly."""
    monkeypatch.setattr(openai, "__version__", version)
    before = functions()

    with caplog.at_level(logging.WARNING, logger="costspan"):
        report = hooks.instrument(meter)

    refused, other = report.sdks
    assert (refused.state, refused.reason, other.state) == (State.REFUSED, reason, State.HOOKED)
    assert [record.message for record in caplog.records] == [
        f"costspan does not meter {refused}; its calls go on untouched"
    ]
    assert {key: value for key, value in functions().items() if key[0] == "openai"} == {
        key: value for key, value in before.items() if key[0] == "openai"
    }


def test_calls_of_a_refused_sdk_go_on_unmetered(server, gpt, meter, monkeypatch):
    """What is not hooked works as without costspan."""
    monkeypatch.setattr(openai, "__version__", "1.0.0")
    server.answer(Json(CHAT))

    hooks.instrument(meter)
    answer = gpt.chat.completions.create(**CHAT_HELLO)

    assert answer.id == "chatcmpl-1"
    assert meter.journal.stats.intents == 0


@pytest.mark.parametrize("version", ["2.0.0", "4.0.0", "99.1"])
def test_newer_sdk_is_hooked_when_it_works(server, gpt, meter, monkeypatch, version):
    """A version that nobody has seen is hooked as long as its functions and the self-test are as they should be."""
    monkeypatch.setattr(openai, "__version__", version)
    server.answer(Json(CHAT))

    report = hooks.instrument(meter)
    gpt.chat.completions.create(**CHAT_HELLO)

    assert report.is_complete
    assert meter.journal.stats.intents == 1


@pytest.mark.parametrize(
    ("where", "replacement", "reason"),
    [
        ("BaseClient._process_response_data", None, "there is no BaseClient._process_response_data"),
        (
            "SyncAPIClient._process_response",
            lambda self, answer: None,
            "SyncAPIClient._process_response takes no 'response'",
        ),
        ("AsyncAPIClient.request", lambda self, options: None, "AsyncAPIClient.request takes no 'cast_to'"),
    ],
)
def test_changed_sdk_is_refused_and_restored(meter, monkeypatch, where, replacement, reason):
    """A function that is gone, or takes something else: nothing of this SDK is hooked."""
    owner, name = where.split(".")
    cls = getattr(anthropic._base_client, owner)
    if replacement is None:
        monkeypatch.delattr(cls, name)
    else:
        monkeypatch.setattr(cls, name, replacement)
    before = functions()

    report = hooks.instrument(meter)

    assert [sdk.reason for sdk in report.sdks] == ["", reason]
    after = functions()
    assert all(after[key] is before[key] for key in before if key[0] == "anthropic")


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("SyncAPIClient._process_response", "a call went by unseen"),
        ("BaseClient._build_request", "a call went by unseen"),
        ("AsyncAPIClient._process_response", "an asynchronous call and a stream went by unseen"),
    ],
)
def test_sdk_that_no_longer_calls_a_function_fails_its_self_test(meter, monkeypatch, where, reason):
    """A function that is there and is no longer what the SDK goes through is found by making a call."""
    owner, name = where.split(".")
    cls = getattr(openai._base_client, owner)
    hidden = vars(cls)[name]
    if name == "_build_request":
        monkeypatch.setattr(openai.OpenAI, name, hidden, raising=False)
        monkeypatch.setattr(openai.AsyncOpenAI, name, hidden, raising=False)
    else:
        monkeypatch.setattr(
            openai.AsyncOpenAI if owner.startswith("Async") else openai.OpenAI, name, hidden, raising=False
        )
    before = functions()

    report = hooks.instrument(meter)

    assert report.sdks[0].state is State.REFUSED
    assert report.sdks[0].reason.startswith(reason) or "unanswered" in report.sdks[0].reason
    assert all(value is before[key] for key, value in functions().items() if key[0] == "openai")


def test_self_test_leaves_no_trace(meter, caplog):
    """It logs nothing, meters nothing, opens no connection, and takes its client with it."""
    with caplog.at_level(logging.DEBUG):
        hooks.instrument(meter)

    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []
    assert meter.journal.stats.intents == 0
    assert selftest.active.probe.get() is None
    assert not any(thread.name == "costspan-abandoned" for thread in threading.enumerate())


async def test_instrument_inside_of_an_event_loop(server, agpt, meter):
    """The self-test's asynchronous calls do not disturb a loop that is running."""
    server.answer(Json(CHAT))

    report = hooks.instrument(meter)
    await agpt.chat.completions.create(**CHAT_HELLO)

    assert report.is_complete
    assert meter.journal.stats.intents == 1


LATER = """
    import sys, logging
    logging.basicConfig(level=logging.WARNING, stream=sys.stdout)
    from costspan import hooks

    class Meter:
        opened = 0
        def open(self, **intent):
            Meter.opened += 1
            return self
        def settle(self, attempt, reading):
            print("settled", reading.portions[0].usage.tokens_in)
        def end(self, attempt, outcome, reason):
            print("ended", outcome, reason)

    report = hooks.instrument(Meter())
    print([str(sdk.state) for sdk in report.sdks], "openai" in sys.modules, "anthropic" in sys.modules)
"""


def test_sdk_that_is_imported_later_is_hooked_then():
    """`instrument()` imports no SDK; the first import hooks it, and its module keeps its own loader."""
    printed = run(
        LATER
        + """
    import importlib
    import openai
    print([str(sdk.state) for sdk in hooks.report().sdks], type(openai.__loader__).__name__,
          type(openai.__spec__.loader).__name__, "anthropic" in sys.modules)
    from costspan.hooks import selftest
    http = selftest._http_library("openai")
    client = openai.OpenAI(api_key="x", http_client=selftest._in_memory(http))
    client.post("/chat/completions", cast_to=object, body={"model": "m", "messages": []})
    hooks.uninstrument()
    import anthropic
    print(hasattr(anthropic._base_client.BaseClient._build_request, "__costspan__"),
          any("costspan" in type(finder).__module__ for finder in sys.meta_path))
    """
    )

    assert printed.splitlines() == [
        "['waiting', 'waiting'] False False",
        "['hooked', 'waiting'] SourceFileLoader SourceFileLoader False",
        "settled 1",
        "False False",
    ]


def test_asking_for_an_sdk_does_not_lose_its_hook(tmp_path):
    """Asking whether an SDK is installed, or failing to import it once, leaves it waiting; the import that works hooks it."""
    (tmp_path / "openai.py").write_text("raise ImportError('not now')")
    printed = run(
        """
    import sys
    sys.path.insert(0, sys.argv[1])
    """
        + LATER
        + """
    import importlib, importlib.util
    print(importlib.util.find_spec("openai") is not None, hooks.report().sdks[0].state)
    try:
        import openai
    except ImportError as error:
        print(error, hooks.report().sdks[0].state)
    sys.path.remove(sys.argv[1])
    importlib.invalidate_caches()
    import openai
    print(hooks.report().sdks[0].state)
    """,
        str(tmp_path),
    )

    assert printed.splitlines()[1:] == ["True waiting", "not now waiting", "hooked"]


def test_sdks_that_are_not_installed_are_absent():
    """Without any SDK there is one warning, and no error."""
    printed = run(
        """
    import importlib.util, sys
    found = importlib.util.find_spec
    importlib.util.find_spec = lambda name, package=None: None if name in ("openai", "anthropic") else found(name, package)
    """
        + LATER
    )

    assert printed.splitlines() == [
        "WARNING:costspan:costspan meters nothing: neither openai nor anthropic is installed",
        "['absent', 'absent'] False False",
    ]


def test_broken_sdk_raises_its_own_error_at_import(tmp_path):
    """An SDK whose import fails fails as ever: the error is its own."""
    (tmp_path / "openai.py").write_text("raise ImportError('half installed')")
    printed = run(
        """
    import sys
    sys.path.insert(0, sys.argv[1])
    """
        + LATER
        + """
    try:
        import openai
    except ImportError as error:
        print(error)
    """,
        str(tmp_path),
    )

    assert printed.splitlines()[-1] == "half installed"


def test_namesake_of_an_sdk_is_refused(tmp_path):
    """A module of the same name that is no SDK is left alone."""
    (tmp_path / "openai.py").write_text("__version__ = '3.0.0'")
    printed = run(
        """
    import sys
    sys.path.insert(0, sys.argv[1])
    """
        + LATER
        + """
    import openai
    print(hooks.report().sdks[0])
    """,
        str(tmp_path),
    )

    assert printed.splitlines()[-1] == "openai 3.0.0: refused (there is no openai._base_client)"


def test_open_stream_is_settled_when_the_process_ends(server, tmp_path):
    """A stream that is still open at the end of the process becomes a row, and does not keep the process."""
    server.answer(chat_stream(50))
    code = """
    import atexit, os, pathlib, sys
    import openai
    from prometheus_client import CollectorRegistry
    from costspan import hooks
    from costspan.journal import Journal
    from costspan.meter import Meter
    from costspan.pricing import PriceBook
    from costspan.sinks.prometheus import PrometheusSink

    journal = Journal(pathlib.Path(sys.argv[1]))
    hooks.instrument(Meter(journal, PriceBook.load(), PrometheusSink(CollectorRegistry())))
    client = openai.OpenAI(api_key="x", base_url=sys.argv[2], max_retries=0)
    stream = client.chat.completions.create(model="gpt-5", messages=[], stream=True)
    next(stream)
    atexit._run_exitfuncs()
    os._exit(0)  # CPython 3.13 may crash when it takes down a stream that is open, with or without costspan
    """
    run(code, str(tmp_path), f"{server.url}/v1")

    batches = [segment.read(0, 9) for segment in adopt(tmp_path)]
    assert [event.status for batch in batches for event in batch.events] == ["partial"]
    assert [ending for batch in batches for ending in batch.endings] == []


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python 3.12 and later warn of forks with threads
def test_forked_child_leaves_its_parents_streams_alone(server, gpt, kept):
    """A child that drops the streams of its parent makes no row of them; the parent makes one."""
    server.answer(chat_stream(3))
    stream = gpt.chat.completions.create(**CHAT_HELLO, stream=True)
    next(stream)

    child = os.fork()
    if child == 0:
        del stream
        abandoned.settle_all()
        os._exit(0)
    os.waitpid(child, 0)
    list(stream)

    assert kept.call().status == "priced"


def test_dropped_streams_are_settled_without_a_thread(server, gpt, kept, monkeypatch, caplog):
    """Where no thread can be started, the next call settles what was dropped before it."""
    caplog.set_level(logging.CRITICAL, logger="costspan")  # a captured traceback would keep the response
    monkeypatch.setattr(abandoned, "threading", None)
    monkeypatch.delenv("COSTSPAN_RAISE")
    server.answer(chat_stream(2), Json(CHAT))

    gpt.chat.completions.with_raw_response.create(**CHAT_HELLO, stream=True)
    gc.collect()
    gpt.chat.completions.create(**CHAT_HELLO)

    assert sorted(call.status for call in kept.calls) == ["partial", "priced"]


def test_streams_can_be_settled_on_demand(server, gpt, kept):
    """`settle_streams()` ends what is open, once."""
    server.answer(chat_stream(2))
    stream = gpt.chat.completions.create(**CHAT_HELLO, stream=True)
    next(stream)

    hooks.settle_streams()
    rest = list(stream)

    assert len(rest) == 3
    assert kept.call().status == "partial"


def test_zero_code_instrumentation(tmp_path):
    """`opentelemetry-instrument` turns metering on and off through its own class."""
    pytest.importorskip("opentelemetry.instrumentation.instrumentor", reason="the extra otel is not installed here")

    printed = run(
        """
    import os, sys
    os.environ.update(COSTSPAN_DRAIN="off", COSTSPAN_STATE_DIR=sys.argv[1])
    import openai
    from costspan import hooks
    from costspan.hooks.instrumentor import CostspanInstrumentor
    CostspanInstrumentor().instrument()
    print(hooks.report().sdks[0].state, CostspanInstrumentor().instrumentation_dependencies())
    CostspanInstrumentor().uninstrument()
    print(hasattr(openai._base_client.BaseClient._build_request, "__costspan__"))
    """,
        str(tmp_path),
    )

    assert printed.splitlines() == ["hooked ()", "False"]
