#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Completion: what the tool offers is what its commands take, and the shells offer that.

zsh and fish are tried where they are; bash has to be there.

Usage: test_tool_completions.py LIDO FOLDER_OF_THE_SCRIPTS
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

lido, scripts = map(os.path.abspath, sys.argv[1:3])
failures = 0


def expect(name, what, told=""):
    global failures
    if not what:
        failures += 1
        print(f"not ok: {name}: {told!r}")


def same(name, given, wanted):
    expect(name, given == wanted, f"wanted {wanted}, not {given}")


def run(*arguments, **how):
    return subprocess.run(arguments, check=False, text=True, capture_output=True, timeout=60,
                          stdin=subprocess.DEVNULL, **how)


def offered(*words):
    done = run(lido, "--complete", *words)
    expect(f"{words}: quiet", done.returncode == 0 and done.stderr == "", done)
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


def help_of(*words):
    return run(lido, "help", *words).stdout


def options_of(command):
    """{"--name": what it wants or ""}, as the help has them."""
    return dict(re.findall(r"^  (?:-., )?(--[a-z-]+)(?: ([A-Z]+))?", help_of(command), re.M))


def try_command(command, usage):
    options = options_of(command)
    same(f"{command}: its options", sorted(offered(command, "--")), sorted(options))
    for option, wants in options.items():
        same(f"{command} {option[:4]}", option in offered(command, option[:4]), True)
        if wants == "":
            if usage:
                same(f"{command} {option}: no value", offered(command, option, ""), usage)
            continue
        values = offered(command, option, "")
        # What it says where the value is wrong: "wants a, b or c, not 'x'".
        said = run(lido, command, option, "?", "a", "b", "c").stderr
        listed = re.search(r"wants ((?:[a-z_]+, )*[a-z_]+ or [a-z_]+)(?:, not|:)", said)
        words = re.split(", | or ", listed.group(1)) if listed else []
        wanted = [":files"] if wants == "FILE" else words
        same(f"{command} {option}: its values", sorted(values), sorted(wanted))
        if words:
            same(f"{command} {option}=", sorted(offered(command, f"{option}=")),
                 sorted(f"{option}={word}" for word in words))
            same(f"{command} {option} {words[0]}", offered(command, option, words[0][:-1]),
                 words[:1])


FILES = {"DATABASE", "TARGET", "FROM", "INTO", "FILE", "PATH"}


def try_tool():
    general = help_of()
    lines = re.findall(r"^  ([a-z]+) (.*?)(?:  |$)", general, re.M)
    commands = [name for name, _ in lines]
    expect("there are commands", {"backup", "dump", "help"} <= set(commands), general)
    same("the commands", offered(""), commands)
    same("some commands", offered("re"), [c for c in commands if c.startswith("re")])
    same("help COMMAND", offered("help", ""), commands)
    same("options without a command", offered("--"), ["--help", "--version"])
    for line in ["nothing", ""], ["nothing", "--"], ["-", "x", "-"], ["dump", "x", "y", ""], []:
        same(f"nothing for {line}", offered(*line), [])
    same("behind --", offered("check", "--", "--"), [":files"])
    same("a value is no operand", offered("copy", "--as", "x", ""), [":files"])
    for name, operands in lines:
        words = re.findall("[A-Z]+", operands)
        for n, word in enumerate(words):
            if word != "COMMAND":
                same(f"{name}: operand {n}", offered(name, *(["x"] * n), ""),
                     [":files"] if word in FILES else [])
        if name != "help":
            try_command(name, [":files"] if words else [])


# The same lines in each shell, as they are typed, and what has to be offered.
TYPED = [
    ("lido ch", ["check", "checkpoint"]),
    ("lido checkpoint --mo", ["--mode"]),
    ("lido checkpoint --mode re", ["restart"]),
    ("lido checkpoint --mode=re", ["--mode=restart"]),
    ("lido dump --da", ["--data-only"]),
    ("lido check on", ["one.db"]),
    ("lido dump --output on", ["one.db"]),
    ("lido rename one.db on", []),
]


def try_bash(env):
    for typed, wanted in TYPED:
        words = re.sub("=", " = ", typed).split(" ")
        if wanted == ["one.db"]:
            wanted = ["default"] # readline's own then
        script = (f"COMPOPT=; compopt() {{ COMPOPT=$2; }}; source {scripts}/lido.bash;"
                  "COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _lido \"$1\";"
                  "printf '%s\\n' \"${COMPREPLY[@]}\" $COMPOPT")
        done = run("bash", "-uc", script, "bash", *words, env=env)
        same(f"bash: {typed}", [done.returncode, *done.stdout.split()],
             [0] + [word.replace("--mode=", "") for word in wanted])
        expect(f"bash: {typed}: quiet", done.stderr == "", done.stderr)
    done = run("bash", "-c", f"source {scripts}/lido.bash; complete -p lido", env=env)
    same("bash: it is known", done.stdout, "complete -F _lido lido\n")


def try_zsh(env):
    script = ("_describe() { print -rl -- ${told%%:*} }; _files() { print -r one.db };"
              "compset() { }; words=(\"$@\"); CURRENT=$#; source " + f"{scripts}/_lido")
    for typed, wanted in TYPED:
        done = run("zsh", "-fc", script, "zsh", *typed.split(" "), env=env)
        same(f"zsh: {typed}", done.stdout.split(), wanted)
        expect(f"zsh: {typed}: quiet", done.stderr == "", done.stderr)


def try_fish(env):
    for typed, wanted in TYPED + [("lido dump --output=on", ["--output=one.db"])]:
        script = f"source {scripts}/lido.fish; complete -C '{typed}'"
        done = run("fish", "--no-config", "-c", script, env=env)
        same(f"fish: {typed}", [line.split("\t")[0] for line in done.stdout.splitlines()], wanted)
        expect(f"fish: {typed}: quiet", done.stderr == "", done.stderr)


def main():
    work = tempfile.mkdtemp()
    os.mkdir(f"{work}/data")
    os.chdir(f"{work}/data")
    try_tool()
    expect("nothing is made", os.listdir(".") == [])
    with open("one.db", "w", encoding="utf-8"):
        pass
    env = dict(os.environ, PATH=f"{os.path.dirname(lido)}:{os.environ['PATH']}", HOME=work)
    try_bash(env)
    for shell, attempt in ("zsh", try_zsh), ("fish", try_fish):
        if shutil.which(shell):
            attempt(env)
        else:
            print(f"{shell}: not here")
    os.chdir("/")
    shutil.rmtree(work)
    print(f"{failures} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
