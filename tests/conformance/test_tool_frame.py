#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What every command of the tool does alike: help, wrong lines, JSON, quiet, standard streams
that are closed, full or read by nobody, and terminals.

Usage: test_tool_frame.py LIDO [smartcols]     (`lido help` says which commands there are.)
smartcols: it is built with libsmartcols.
"""
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import termios

# A line for each command, run in a folder with a.db, b.db and a.sql, and one that fails.
LINES = {
    "backup": ("a.db new.db", "absent.db new.db"),
    "check": ("a.db", "absent.db"),
    "checkpoint": ("a.db", "absent.db"),
    "copy": ("a.db person b.db", "absent.db person b.db"),
    "demo": ("--transfers 5 --writers 0 --pool null --progress never a.db", "absent.db"),
    "doctor": ("a.db", "absent.db"),
    "dump": ("a.db", "absent.db"),
    "exists": ("a.db", "absent.db"),
    "info": ("a.db", "absent.db"),
    "load": ("--create new.db a.sql", "absent.db a.sql"),
    "optimize": ("a.db", "absent.db"),
    "rename": ("a.db person human", "absent.db person human"),
    "restore": ("a.db b.db", "absent.db b.db"),
    "sizes": ("a.db", "absent.db"),
    "tables": ("a.db", "absent.db"),
    "vacuum": ("a.db", "absent.db"),
    "version": ("", None),
    "help": ("", "nothing"),
}
OTHER_FRAME = {"demo", "help"}
VERDICTS = {"check", "exists", "info"}  # what is not there is a result of theirs
NO_OPERAND = {"version", "doctor", "help"}
WITH_PROGRESS = {"backup", "check --full", "dump -o new.sql", "load", "optimize", "restore",
                 "sizes", "vacuum", "copy"}
SIGPIPE = 128 + 13

lido = os.path.abspath(sys.argv[1])
work = tempfile.mkdtemp()
failures = 0


def expect(name, what, told=""):
    global failures
    if not what:
        failures += 1
        print(f"not ok: {name}: {told!r}")


def make_files():
    os.mkdir(f"{work}/first")
    for name in "a.db", "b.db":
        db = sqlite3.connect(f"{work}/first/{name}")
        if name == "a.db":
            db.execute("CREATE TABLE person (id INTEGER PRIMARY KEY, name)")
            db.executemany("INSERT INTO person VALUES (?, ?)", ((i, "x" * 50) for i in range(500)))
        db.execute("CREATE TABLE other (x)")
        db.commit()
        if name == "a.db":
            with open(f"{work}/first/a.sql", "w", encoding="utf-8") as file:
                file.write("\n".join(db.iterdump()) + "\n")
        db.close()


def reset():
    shutil.rmtree(f"{work}/data", ignore_errors=True)
    shutil.copytree(f"{work}/first", f"{work}/data")
    os.chdir(f"{work}/data")


def run(*arguments, **how):
    how = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how
    done = subprocess.run([lido, *arguments], check=False, text=True, timeout=60, **how)
    return done.returncode, done.stdout or "", done.stderr or ""


def closed(number):
    return {"preexec_fn": lambda: os.close(number)}


def ordinary(command, *more):
    """The command's line, which works, on fresh files."""
    reset()
    return [command, *more, *LINES[command][0].split()]


# --- lines, results, streams -----------------------------------------------------------------


def try_help(command):
    told = [run("help", command), run(command, "--help"), run(command, "-h")]
    expect(f"{command}: help", all(t[0] == 0 and t[2] == "" for t in told), told)
    expect(f"{command}: help is the same", len({t[1] for t in told}) == 1, told)
    expect(f"{command}: help begins", told[0][1].startswith(f"Usage: lido {command}"), told[0][1])
    expect(f"{command}: help fits", all(len(line) <= 96 for line in told[0][1].split("\n")), told)
    if command != "help":
        for option in "--json", "-q, --quiet", "--color", "--progress", "--timeout", "-h, --help":
            expect(f"{command}: {option} in help", f"\n  {option} " in told[0][1])


def try_wrong_lines(command):
    reset()
    lines = [["--bogus"], ["a", "b", "c", "d"]]
    if command == "help":
        lines = lines[1:]
    if command not in NO_OPERAND:
        lines.append([])
    if command != "help":
        lines += [["--color"], ["--color=green", "a.db"], ["--progress=green", "a.db"],
                  ["--timeout=x", "a.db"]]
    for line in lines:
        code, out, err = run(command, *line)
        expect(f"{command} {line}", code == 2 and out == "" and err.startswith("lido: "),
               (code, out, err))
        if command != "help":  # in words, as lido(1) says: it may be --json that is wrong
            told = run(command, "--json", *line)
            expect(f"{command} --json {line}", told == (2, "", err), told)
    expect(f"{command}: wrong lines do nothing",
           sorted(os.listdir(".")) == ["a.db", "a.sql", "b.db"])


def try_results(command):
    code, out, err = run(*ordinary(command))
    expect(f"{command}: works", code == 0 and out != "" and err == "", (code, out, err))
    expect(f"{command}: nothing that moves a cursor", "\033" not in out and "\r" not in out, out)
    if command == "help":
        return
    line = ordinary(command, "--json")
    if command == "dump":
        line += ["-o", "new.sql"]
    code, out, err = run(*line)
    expect(f"{command} --json: works", code == 0 and err == "", (code, err))
    expect(f"{command} --json", json.loads(out)["schema"] == f"lido-{command}/1", out)
    if command != "dump":
        for more in ["--quiet"], ["-q", "--json", "--progress=always"]:
            told = run(*ordinary(command, *more))
            expect(f"{command} {more}", told == (0, "", ""), told)


def try_failure(command):
    wrong = LINES[command][1]
    if wrong is None or command == "help":
        return
    reset()
    code, out, err = run(command, *wrong.split())
    is_said = (out if command in VERDICTS else err).find("absent.db") >= 0
    expect(f"{command}: of nothing", code == 5 and is_said, (code, out, err))
    expect(f"{command}: makes nothing", sorted(os.listdir(".")) == ["a.db", "a.sql", "b.db"])
    line = [command, "--json", *wrong.split()] + (["-o", "x"] if command == "dump" else [])
    code, out, _ = run(*line)
    told = json.loads(out)
    expect(f"{command}: an error's schema", told["schema"] == f"lido-{command}/1", out)
    if command not in VERDICTS:
        error = told["error"]
        expect(f"{command}: an error as JSON", error["exit"] == code == 5 and error["code"] and
               error["message"].find("absent.db") >= 0, out)


def try_demo_of_what_is_in_use():
    """It waits until the others are done, as long as it may."""
    line = ordinary("demo", "--json")
    db = sqlite3.connect("a.db", isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    code, out, _ = run(*line, "--timeout=0.05")
    expect("demo: in use", code == 4 and json.loads(out)["error"]["code"] == "SQLITE_BUSY", out)
    with subprocess.Popen([lido, *line, "--timeout=60"], stdout=subprocess.PIPE) as child:
        # It has looked once when it has had a child, and then another.
        seen = set()
        while child.poll() is None and len(seen) < 2:
            with open(f"/proc/{child.pid}/task/{child.pid}/children", encoding="ascii") as file:
                seen.update(file.read().split())
        db.close()
        out = child.stdout.read()
    expect("demo: waits", child.returncode == 0 and json.loads(out)["holds"] is True, out)


def is_sound(path):
    if not os.path.exists(path):
        return True
    db = sqlite3.connect(path)
    answer = db.execute("PRAGMA integrity_check").fetchall()
    db.close()
    return answer == [("ok",)]


def try_streams(command):
    code, _, err = run(*ordinary(command), stdout=None, **closed(1))
    expect(f"{command}: stdout closed", code == 1 and err.count("\n") == 1, (code, err))
    expect(f"{command}: stdout closed: the files", all(map(is_sound, ("a.db", "b.db", "new.db"))))
    with open("/dev/full", "w", encoding="utf-8") as full:
        code, _, err = run(*ordinary(command), stdout=full)
    expect(f"{command}: stdout full", code == 1 and err.count("\n") == 1, (code, err))
    end, out = os.pipe()
    os.close(end)
    code, _, err = run(*ordinary(command), stdout=out, restore_signals=True)
    os.close(out)
    # Python ignores SIGPIPE; who does not hold signals dies by it.
    expect(f"{command}: nobody reads", code in (SIGPIPE, -13) and err == "", (code, err))
    code, out, _ = run(*ordinary(command), stderr=None, **closed(2))
    expect(f"{command}: stderr closed", code == 0 and out != "", (code, out))
    code, out, _ = run(*ordinary(command), stdin=None, **closed(0))
    expect(f"{command}: stdin closed", code == 0 and out != "", (code, out))
    if LINES[command][1] is not None and command not in VERDICTS | {"help"}:
        code, _, _ = run(command, *LINES[command][1].split(), stderr=None, **closed(2))
        expect(f"{command}: a complaint that nobody sees", code == 5, code)


def try_dump_into_a_file():
    reset()
    _, wanted, _ = run("dump", "a.db")
    code, _, err = run("dump", "-o", "new.sql", "a.db", stdout=None, **closed(1))
    with open("new.sql", encoding="utf-8") as file:
        told = file.read()
    expect("dump -o, stdout closed", code == 1 and told == wanted, (code, err, told[-80:]))


def try_stuck():
    """Nobody reads, and the pipe is full: a signal ends it as it ends any program."""
    reset()
    db = sqlite3.connect("many.db")
    for i in range(400):
        db.execute(f"CREATE TABLE table_of_a_long_name_{i} (x)")
    db.close()
    for number in signal.SIGINT, signal.SIGTERM:
        end, out = os.pipe()
        size = fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 4096)
        child = subprocess.Popen([lido, "tables", "many.db"], stdout=out,
                                 preexec_fn=lambda n=number: signal.signal(n, signal.SIG_DFL))
        os.close(out)
        there = b""
        while child.poll() is None and struct.unpack("i", there or bytes(4))[0] < size:
            there = fcntl.ioctl(end, termios.FIONREAD, bytes(4))
        child.send_signal(number)
        try:
            code = child.wait(20)
        except subprocess.TimeoutExpired:
            code = None
            child.kill()
            child.wait()
        os.close(end)
        expect(f"stuck on a full pipe: {number.name}", code == -number, code)


# --- terminals -------------------------------------------------------------------------------


def set_width(tty, columns):
    fcntl.ioctl(tty, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


def terminal(line, columns=80, told=None, **env):
    """The tool on a terminal of its own: its exit status and all that came.  `told` sees what
    has come so far and may do something about it."""
    end, tty = pty.openpty()
    set_width(end, columns)
    child = subprocess.Popen([lido, *line], stdin=tty, stdout=tty, stderr=tty,
                             start_new_session=True,
                             preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                             env={"PATH": os.environ["PATH"], "TERM": "xterm"} | env)
    os.close(tty)
    seen = b""
    while True:
        try:
            some = os.read(end, 4096)
        except OSError:
            break
        if not some:
            break
        seen += some
        if told is not None:
            told(end, seen)
    os.close(end)
    return child.wait(60), seen.decode()


def frames(seen):
    """The lines of progress, as wide as they were."""
    return re.findall(r"\r([^\r\n\033]*)\033\[K", seen)


def width_of(command, seen):
    """Of the widest frame; the last one takes the line away."""
    drawn = frames(seen)
    expect(f"{command}: drawn and erased", len(drawn) > 1 and drawn[0] and drawn[-1] == "", seen)
    expect(f"{command}: nothing of it stays", seen.rfind("\r" + drawn[-1]) >= 0 and
           not frames(seen[seen.rfind("\033[K") + 3:]), seen)
    return max(map(len, drawn), default=0)


def try_progress(line):
    command, *more = line.split()
    told = terminal(ordinary(command, *more))
    expect(f"{line}: on a terminal", told[0] == 0, told)
    expect(f"{line}: fits", width_of(line, told[1]) < 80, told)
    code, seen = terminal(ordinary(command, *more), columns=20)
    expect(f"{line}: in 20 columns", code == 0 and width_of(line, seen) < 20, seen)
    for columns in 1, 0:
        code, seen = terminal(ordinary(command, *more), columns=columns)
        expect(f"{line}: in {columns} columns", code == 0, seen)
    code, seen = terminal(ordinary(command, *more, "--progress=never"))
    expect(f"{line}: --progress=never", code == 0 and not frames(seen), seen)
    code, seen = terminal(ordinary(command, *more), TERM="dumb")
    expect(f"{line}: TERM=dumb", code == 0 and "\033" not in seen and not frames(seen), seen)
    code, seen = terminal(ordinary(command, *more, "--progress=always"), TERM="dumb")
    expect(f"{line}: TERM=dumb, always", code == 0 and "\033" not in seen and
           re.search(r" s\r\n", seen), seen)
    code, out, err = run(*ordinary(command, *more, "--progress=always"))
    expect(f"{line}: lines without a terminal", code == 0 and err.endswith(" s\n") and
           "\033" not in err and err not in out, err)


def try_colors(command):
    def is_colored(*more, **env):
        code, seen = terminal(ordinary(command, "--progress=never", *more), **env)
        expect(f"{command}: {more} {env}", code == 0 and seen, seen)
        return re.search("\033\\[[0-9;]*m", seen) is not None

    has_any = is_colored("--color=always")
    expect(f"{command}: a terminal", is_colored() == has_any)
    expect(f"{command}: --color=never", not is_colored("--color=never"))
    expect(f"{command}: NO_COLOR", not is_colored(NO_COLOR="1"))
    expect(f"{command}: NO_COLOR that is empty", is_colored(NO_COLOR="") == has_any)
    expect(f"{command}: TERM=dumb", not is_colored(TERM="dumb"))
    expect(f"{command}: NO_COLOR, always", is_colored("--color=always", NO_COLOR="1") == has_any)
    _, out, _ = run(*ordinary(command, "--color=always"))
    expect(f"{command}: always, elsewhere", ("\033" in out) == has_any, out)
    return has_any


LISTING = """\
name                                                             kind   columns  strict  rowid
a table with a name that is longer than many a terminal is wide  table        1          rowid
größe?                                                           table        1          rowid
"""


def try_listing(has_smartcols):
    """What programs read is the same with and without it."""
    reset()
    db = sqlite3.connect("names.db")
    first, second = LISTING.split("\n")[1].split("  ")[0], "größe\t"
    db.executescript(f'CREATE TABLE "{first}" (x); CREATE TABLE "{second}" (x);')
    db.close()
    for env in {}, {"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8", "COLUMNS": "30"}:
        code, out, _ = run("tables", "names.db", env=dict(os.environ, **env))
        expect(f"listing: {env}", code == 0 and out == LISTING, out)
    plain = ["tables", "--color=never", "names.db"]
    for env in {}, {"LC_ALL": "C.UTF-8"}:
        code, seen = terminal(plain, columns=200, **env)
        expect("listing: on a wide terminal", code == 0 and first + "  table" in seen, seen)
        code, seen = terminal(plain, columns=50, **env)
        rows = seen.replace("\r", "").split("\n")
        expect("listing: nothing is cut off", first.replace(" ", "") in
               "".join(row[:20] for row in rows[1:]).replace(" ", "") or not has_smartcols, seen)
        expect("listing: it fits", (max(map(len, rows)) <= 50) == has_smartcols, seen)
        expect("listing: nothing that moves a cursor", "\033" not in seen and "\t" not in seen)
    if not has_smartcols:
        expect("listing: as elsewhere", terminal(plain)[1].replace("\r", "") == LISTING)
    _, seen = terminal(["tables", "names.db"], columns=200)
    expect("listing: the head is bold", seen.startswith("\033[1mname"), seen)


def try_resize():
    reset()
    sqlite3.connect("big.db").executescript("CREATE TABLE t (x); INSERT INTO t VALUES "
                                            "(zeroblob(5000000));").close()
    state = {"at": None, "is_over": False}

    def told(end, seen):
        if state["at"] is None and b"%" in seen:
            state["at"] = len(seen)
            set_width(end, 20)
        elif state["at"] is not None and not state["is_over"] and \
                seen.count(b"\033[K", state["at"]) >= 4:
            state["is_over"] = True
            os.write(end, b"\003")

    code, seen = terminal(["backup", "--rate", "500K", "big.db", "new.db"], told=told)
    drawn = frames(seen[state["at"] or 0:])
    expect("resize: Ctrl-C", code == 130 and not os.path.exists("new.db"), (code, seen))
    # One may have been on its way.
    expect("resize: the next one fits", drawn and max(map(len, drawn[1:])) < 20, seen)


def main():
    make_files()
    code, out, err = run("help")
    expect("help", code == 0 and err == "", err)
    commands = re.findall(r"^  ([a-z]+) ", out, re.M)
    expect("each command has a line in this test", set(commands) == set(LINES),
           set(commands) ^ set(LINES))
    for command in commands:
        if command not in LINES:
            continue
        try_help(command)
        try_wrong_lines(command)
        try_results(command)
        try_failure(command)
        try_streams(command)
        print(f"{command}: {failures} failures so far")
    try_dump_into_a_file()
    try_stuck()
    try_demo_of_what_is_in_use()
    for line in sorted(WITH_PROGRESS):
        try_progress(line)
    colored = {c for c in commands if c in LINES and c not in OTHER_FRAME and try_colors(c)}
    expect("what has colours", {"doctor", "sizes", "tables"} <= colored, colored)
    try_listing("smartcols" in sys.argv[2:])
    try_resize()
    os.chdir("/")
    shutil.rmtree(work)
    print(f"{failures} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
