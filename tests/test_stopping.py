"""Signals that end a process: they do what Ctrl-C does, once, and nothing where they were ignored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from r2gen_lib import assets, cli
from r2gen_lib.stopping import Stopped, as_ctrl_c, uninterrupted

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


def send(name: str) -> None:
    os.kill(os.getpid(), signal.Signals[name])


@pytest.mark.parametrize("name, code", [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_command_ends_with_the_signals_own_status_and_one_line(monkeypatch, capsys, name, code):
    done = []

    def table():
        try:
            send(name)
        except KeyboardInterrupt:
            done.append("saved")
            raise

    monkeypatch.setattr(assets, "asset_table", table)
    assert cli.main(["assets"]) == code and done == ["saved"]
    assert f"r2gen assets: stopped by {name}; what was finished is kept." in capsys.readouterr().err
    assert signal.getsignal(signal.Signals[name]) is signal.SIG_DFL


def test_the_same_wish_said_twice_does_not_disturb_the_cleaning_up():
    saved = []
    with pytest.raises(Stopped), as_ctrl_c():
        try:
            send("SIGTERM")
        finally:
            send("SIGTERM")
            send("SIGHUP")
            saved.append(True)
    assert saved


def test_a_signal_waits_until_what_must_be_whole_is_whole():
    done = []
    with pytest.raises(Stopped, match="stopped by SIGTERM"), as_ctrl_c():
        with uninterrupted():
            send("SIGTERM")
            done.append(1)
        done.append(2)
    assert done == [1]


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with as_ctrl_c():
            with uninterrupted():
                send("SIGHUP")
            send("SIGHUP")
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # and the test was not killed
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_another_thread_nothing_is_taken():
    found = []

    def work():
        with as_ctrl_c(), uninterrupted():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL]


def test_where_nobody_catches_it_the_status_is_that_of_a_shell():
    code = (
        "import os, signal\nfrom r2gen_lib.stopping import as_ctrl_c\n"
        "with as_ctrl_c(): os.kill(os.getpid(), signal.SIGTERM)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (143, "")


def test_a_closed_terminal_is_no_error_of_its_own():
    code = (
        "import pty, os, signal, sys, time\nfrom r2gen_lib.stopping import as_ctrl_c\n"
        "with as_ctrl_c():\n"
        "    try:\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "    finally:\n"
        "        print('goodbye', flush=True)\n"
    )
    import pty

    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=slave, stdout=slave, stderr=subprocess.DEVNULL, start_new_session=True
    )
    os.close(slave)
    assert b"ready" in os.read(master, 100)
    os.close(master)  # the window is closed
    process.send_signal(signal.SIGHUP)
    try:
        assert process.wait(timeout=120) == 129
    finally:
        process.kill()
