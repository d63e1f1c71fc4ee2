/* SPDX-License-Identifier: MIT */
/*
 * lido-bench: what lido costs, measured on the machine that asks.
 *
 * Each benchmark is a sub-command with options of its own, a line in the table below and a
 * file of its own.  Results go to standard output, complaints to standard error.
 *
 * Threads: one; the sub-commands start their own.
 */
#include "command.h"

#include <stdio.h>
#include <string.h>

#include <lido/lido.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    { "checkout", command_checkout, "a checkout and check-in, beside a lock and libzdb" },
    { "housekeeping", command_housekeeping,
      "backup, dump, load and copy, beside the sqlite3 shell's" },
    { "statement", command_statement,
      "a cached statement and a transaction, beside SQLite's" },
    { "tune", command_tune, "what lido_process_tune() brings, with threads" },
    { "write", command_write, "who waits how long to write one file, beside SQLite's" },
};
static const size_t n_commands = sizeof commands / sizeof commands[0];

void print_version(void)
{
    printf("lido-bench %s (SQLite %s)\n", lido_version(), sqlite3_libversion());
}

static void print_usage(FILE *out)
{
    fputs("Usage: lido-bench COMMAND [OPTION]...\n\nCommands:\n", out);
    for (size_t i = 0; i < n_commands; i++)
        fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].summary);
    fputs("\nOptions:\n"
          "  -h, --help     this text; after a command, that command's\n"
          "  -V, --version  which lido and which SQLite\n"
          "\n"
          "Exit codes: 0 measured, 1 failed, 2 wrong usage.\n",
          out);
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_usage(stdout);
        return EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        print_version();
        return EXIT_OK;
    }
    for (size_t i = 0; i < n_commands; i++) {
        static char full_name[40]; /* for the complaints of getopt_long() */

        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        snprintf(full_name, sizeof full_name, "lido-bench %s", commands[i].name);
        argv[1] = full_name;
        return commands[i].run(argc - 1, argv + 1);
    }
    fprintf(stderr, "lido-bench: there is no command '%s'; see lido-bench --help\n",
            argv[1]);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    int code = run(argc, argv);

    /* A full disk shows only when the buffer is written. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("lido-bench: standard output");
        return code == EXIT_USAGE ? code : EXIT_FAILED;
    }
    return code;
}
