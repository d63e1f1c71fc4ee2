/* SPDX-License-Identifier: MIT */
#ifndef LIDO_CLI_COMMAND_H
#define LIDO_CLI_COMMAND_H

/*
 * A command of the tool: a table entry, and the frame that reads its line, runs it and says how
 * it went.
 *
 *     line -> options, operands -> run() -> text() or json() -> exit status
 *
 * A process runs one command, so a command keeps what it read and found in static variables of
 * its file.
 *
 * Threads: one.
 */
#include "cli/cli.h"
#include "report/json.h"
#include "report/progress.h"

#include <getopt.h>
#include <lido/lido.h>
#include <stdbool.h>

/* One command line. */
struct call {
    const struct command *command;
    bool is_json, is_quiet;
    bool has_color; /* on stdout */
    enum progress_when progress;
    char **operands;
    int n_operands;
    int64_t timeout_ms;  /* --timeout: how long to wait for locks; -1: for ever */
    struct lido_job job; /* for run(): progress and Ctrl-C */
    struct lido_error err;
    int answer; /* set by run(): the exit status, if it is another than 0, or where it fails
                   another than that of its code */
};

struct command {
    const char *name;
    const char *summary;  /* one line for `lido help` */
    const char *operands; /* "DATABASE", as help shows them; "": none */
    const char *help;     /* what it does, and its own options, one a line */
    int least, most;      /* operands */

    /* Its own long options, numbered from 256 on, ended by a row of zeros; NULL: none. */
    const struct option *options;
    const char
        *letters; /* as getopt() has them, of those with a letter for id; NULL: none */
    int (*option)(struct call *call, int id, const char *value); /* CLI_OK or CLI_USAGE */

    /* The work: LIDO_OK, or a code whose story is in call->err.  Prints nothing. */
    int (*run)(struct call *call);
    void (*text)(struct call *call);
    void (*json)(struct call *call, struct json *json); /* members of the one object */

    /* In place of all that: a command with a frame of its own, and its whole help. */
    int (*main)(int argc, char **argv);
    const char *whole_help;
};

extern const struct command command_backup;
extern const struct command command_check;
extern const struct command command_checkpoint;
extern const struct command command_copy;
extern const struct command command_doctor;
extern const struct command command_dump;
extern const struct command command_exists;
extern const struct command command_info;
extern const struct command command_load;
extern const struct command command_optimize;
extern const struct command command_rename;
extern const struct command command_restore;
extern const struct command command_sizes;
extern const struct command command_tables;
extern const struct command command_vacuum;
extern const struct command command_version;

/* Reads the line, runs the command, prints: the exit status.  argv[0] is the command's name. */
int command_run(const struct command *command, int argc, char **argv);
void command_print_help(const struct command *command);
extern const char command_common_help[]; /* the options of all but those with a main() */

/* The exit status for one of lido's or SQLite's codes. */
int command_exit(int code);

/* Complains "NAME: --OPTION wants WHAT, not 'VALUE'", and answers CLI_USAGE. */
int command_refuse(const struct call *call, const char *option, const char *what,
                   const char *value);
/* A whole number from `least` to `most`, or a complaint. */
int command_integer(const struct call *call, const char *option, const char *value,
                    int64_t least, int64_t most, int64_t *out);
/* At least one byte, as "500", "64K", "10M", "2G" or "1T", or a complaint. */
int command_bytes(const struct call *call, const char *option, const char *value,
                  int64_t *out);

/* What getopt_long() refused and why, in words, by its `letters`: of letters that share a word
   it is the one. */
enum { REFUSED_ROOM = 160 };
const char *command_refused(char **argv, const char *letters, char room[REFUSED_ROOM]);

/* Behind the text of the error what may help, if there is room. */
void command_advise(struct call *call, const char *advice);

/* To stdout, with a '?' for each control character: a name may hold what moves a terminal's
   cursor. */
void command_print(const char *text);

#endif
