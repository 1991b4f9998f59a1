"""Workers that are processes: forked, or fresh interpreters that never run the main script.

Each has a connection of its own, which a thread of the main process empties: a batch in transit can
not block the tasks on their way, and a connection that ends says at once which worker died.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.spawn
import os
import pickle
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from flambeau.core.workers import start_thread
from flambeau.utils.data._utils import seeding, shipping
from flambeau.utils.data._utils.worker import Died, Loop, Work, reported

# A fresh interpreter may import what the dataset needs before it answers (seconds).
_START_LIMIT = 120
_END_LIMIT = 2.0
_STARTER = "from flambeau.utils.data._utils.process import main; main()"


class ProcessWorker:
    """A worker that is a process."""

    def __init__(self, work: Work, base: int, results: queue.SimpleQueue[Any], method: str) -> None:
        self._worker = work.info.id
        self._lock = threading.Lock()
        self._stopped = False
        if method == "fork":
            context: Any = multiprocessing.get_context("fork")
            self._connection, theirs = context.Pipe()
            self._process: Any = context.Process(
                target=_forked, args=(work, base, theirs, self._connection), daemon=True
            )
            self._process.start()
            theirs.close()
        else:
            data = shipping.dumps((work, base))
            self._process = _Fresh()
            self._connection = self._process.connect(data)
        _running.add(self)
        reader = threading.Thread(
            target=_drain,
            args=(self._connection, self._process, self._worker, results),
            name=f"flambeau-data-reader-{self._worker}",
            daemon=True,
        )
        start_thread(reader)

    def put(self, task: Any) -> None:
        """Give the worker a task."""
        with contextlib.suppress(OSError):  # a worker that died is reported by its reader
            self._connection.send(task)

    def stop(self) -> None:
        """End the worker: politely, then not."""
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
        with contextlib.suppress(OSError):
            self._connection.send(None)
        start_thread(threading.Thread(target=self._end, daemon=True))

    def _end(self) -> None:
        self._process.join(_END_LIMIT)
        self.end_now()

    def end_now(self) -> None:
        """End the worker without waiting for the batch it is at."""
        process = self._process
        for end in (process.terminate, process.kill):
            if process.exitcode is None:
                end()
                process.join(_END_LIMIT)
        _running.discard(self)


# The worker processes that may still be there: none outlives the interpreter's orderly end.
_running: set[ProcessWorker] = set()


@atexit.register
def _end_running() -> None:
    for worker in list(_running):
        worker.end_now()


def _drain(connection: Any, process: Any, worker: int, results: queue.SimpleQueue[Any]) -> None:
    """Pass a worker's answers on; when its connection ends, that."""
    try:
        while True:
            data = connection.recv_bytes()
            results.put(pickle.loads(data))
    except (EOFError, OSError):
        process.join(_END_LIMIT)
        code = process.exitcode
        how = f"exit code {code}" if code is None or code >= 0 else _signal_name(-code)
        text = (
            f"DataLoader worker (pid(s) {process.pid}) exited unexpectedly: worker {worker} ended "
            f"with {how}"
        )
        results.put((None, Died(worker, text)))
    except BaseException as error:
        text = f"an answer of DataLoader worker {worker} cannot be read: {error!r}"
        results.put((None, Died(worker, text)))


def _signal_name(number: int) -> str:
    try:
        return f"signal {signal.Signals(number).name}"
    except ValueError:
        return f"signal {number}"


# ---- in the worker -------------------------------------------------------------------------------


def _work(work: Work, base: int, connection: Any) -> None:
    """Answer tasks until None arrives or the main process is gone."""
    # Ctrl-C reaches the whole group; what becomes of the workers is the main process's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch_parent, args=(os.getppid(),), daemon=True).start()
    seeding.seed_process(base, work.info.id)
    worker = work.info.id
    loop = Loop(work, lambda error: reported(error, worker))
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return
        if task is None:
            return
        answer = loop.answer(task)
        if answer is None:
            continue
        try:
            data = shipping.dumps(answer, answer=True)
        except BaseException as error:  # a batch that cannot be pickled
            data = shipping.dumps((answer[0], reported(error, worker)), answer=True)
        try:
            connection.send_bytes(data)
        except OSError:
            return


def _watch_parent(parent: int) -> None:
    """End this process when its parent is gone, whatever the dataset is doing."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _forked(work: Work, base: int, connection: Any, other_end: Any) -> None:
    other_end.close()
    try:
        _work(work, base, connection)
    finally:
        connection.close()
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        # What the main process registered for its own end is not this process's business.
        os._exit(0)


class _Fresh:
    """A process that starts from nothing, with a Process's methods."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._listener = Listener(authkey=self._key)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        self._process = subprocess.Popen(
            [sys.executable, *_flags(), "-c", _STARTER], stdin=subprocess.PIPE, env=environment
        )

    def connect(self, data: bytes) -> Connection:
        """Send the work; returns the connection. RuntimeError if the process does not start."""
        preparation = multiprocessing.spawn.get_preparation_data("flambeau-data")
        for name in ("init_main_from_path", "init_main_from_name"):
            preparation.pop(name, None)  # the main script is not run a second time
        # The child is ours: it may know the key, which is refused to pickles in general.
        preparation["authkey"] = bytes(preparation["authkey"])
        first = pickle.dumps(preparation)
        assert self._process.stdin is not None
        with contextlib.suppress(OSError), self._process.stdin as pipe:
            pickle.dump((self._listener.address, self._key), pipe)
        watch = threading.Thread(target=self._watch_start, daemon=True)
        self._starting = True
        start_thread(watch)
        try:
            connection = self._listener.accept()
        except (OSError, EOFError, multiprocessing.AuthenticationError) as error:
            raise RuntimeError(
                f"DataLoader worker (pid {self.pid}) did not start: exit code {self.exitcode}"
            ) from error
        finally:
            self._starting = False
            with contextlib.suppress(OSError):
                self._listener.close()
        connection.send_bytes(first)
        connection.send_bytes(data)
        return connection

    def _watch_start(self) -> None:
        """A process that ends before it connects, or never does, must not keep us waiting."""
        limit = time.monotonic() + _START_LIMIT
        while self._starting and self._process.poll() is None and time.monotonic() < limit:
            time.sleep(0.02)
        if self._starting:
            # Closing a listener does not wake the thread that waits in it: a caller does.
            with contextlib.suppress(Exception):
                Client(self._listener.address, authkey=b"nobody").close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exitcode(self) -> int | None:
        return self._process.poll()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def _flags() -> list[str]:
    """The interpreter options of this process."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return flags


def main() -> None:
    """What a fresh worker process runs."""
    # Until the main process can be asked, Ctrl-C is its affair already.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    address, key = pickle.load(sys.stdin.buffer)
    connection = Client(address, authkey=key)
    multiprocessing.spawn.prepare(pickle.loads(connection.recv_bytes()))
    try:
        work, base = pickle.loads(connection.recv_bytes())
    except BaseException as error:
        _refuse(connection, error)
        return
    _work(work, base, connection)
    connection.close()


def _refuse(connection: Any, error: BaseException) -> None:
    """Answer every task with the reason why the dataset could not be unpickled here."""
    with contextlib.suppress(EOFError, OSError):
        while (task := connection.recv()) is not None:
            if task[0] is not None:
                connection.send_bytes(pickle.dumps((task[0], reported(error, 0))))
