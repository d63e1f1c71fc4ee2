/* SPDX-License-Identifier: MIT */
/*
 * The command-line tool: finds the command and lets it have the rest of the line.
 *
 * Results go to stdout; progress and complaints go to stderr.
 *
 * Threads: one.
 */
#include "cli/command.h"
#include "cli/complete.h"

#include <fcntl.h>
#include <lido/lido.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char help_help[] =
    "Usage: lido help [COMMAND]\n"
    "\n"
    "Prints what a command takes, or which commands there are.\n";

static bool wants_help(const char *text)
{
    return strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0;
}

static int help_main(int argc, char **argv);

static const struct command demo = {
    .name = "demo",
    .summary = "run pools on a copy of a database, and check what they did",
    .operands = "DATABASE",
    .main = demo_main,
    .whole_help = demo_help,
};

static const struct command help = {
    .name = "help",
    .summary = "print this, or what a command takes",
    .operands = "[COMMAND]",
    .main = help_main,
    .whole_help = help_help,
};

static const struct command *const commands[] = {
    &command_backup,     &command_check,
    &command_checkpoint, &command_copy,
    &command_doctor,     &command_dump,
    &command_exists,     &command_info,
    &command_load,       &command_optimize,
    &command_rename,     &command_restore,
    &command_sizes,      &command_tables,
    &command_vacuum,     &demo,
    &command_version,    &help,
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_general_help(FILE *out)
{
    fputs("Usage: lido COMMAND [options]\n"
          "\n"
          "SQLite connections, lent to threads by a pool, and housekeeping of databases.\n"
          "\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++) {
        char head[48];

        snprintf(head, sizeof head, "%s %s", commands[i]->name, commands[i]->operands);
        fprintf(out, "  %-25s %s\n", head, commands[i]->summary);
    }
    fputs(
        "\n"
        "Also: lido --version, lido --help, lido COMMAND --help.\n"
        "\n"
        "Exit status: 0 done; 1 it could not be done, or a check of the demo did not "
        "hold;\n"
        "2 wrong usage; 3 it found problems; 4 the database is in use or needs recovery;\n"
        "5 there is no such file or it is not a database; 130 interrupted by Ctrl-C.\n",
        out);
}

/* How many letters have to be put in, left out or changed to make one of the other. */
static unsigned distance(const char *left, const char *right)
{
    enum { MOST = 24 };
    const size_t n = strlen(right);
    unsigned row[MOST + 1];

    if (n > MOST || strlen(left) > MOST)
        return MOST;
    for (size_t k = 0; k <= n; k++)
        row[k] = (unsigned)k;
    for (unsigned i = 1; *left != '\0'; left++, i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (size_t k = 1; k <= n; k++) {
            const unsigned above = row[k], changed = diagonal + (*left != right[k - 1]);

            row[k] = (above < row[k - 1] ? above : row[k - 1]) + 1;
            row[k] = changed < row[k] ? changed : row[k];
            diagonal = above;
        }
    }
    return row[n];
}

/* The command of that name, or NULL after a complaint with a hint. */
static const struct command *find_command(const char *name)
{
    const struct command *nearest = NULL;
    unsigned least = 3; /* two letters in the wrong order are 2 */

    for (size_t i = 0; i < COMMANDS; i++) {
        const char *known = commands[i]->name;
        const unsigned far =
            strncmp(name, known, strlen(name)) == 0 ? 1 : distance(name, known);

        if (strcmp(name, known) == 0)
            return commands[i];
        if (far < least) {
            nearest = commands[i];
            least = far;
        }
    }
    if (nearest != NULL)
        cli_complain("there is no command '%s'; did you mean '%s'? See 'lido help'", name,
                     nearest->name);
    else
        cli_complain("there is no command '%s'; see 'lido help'", name);
    return NULL;
}

static int help_main(int argc, char **argv)
{
    const struct command *command;

    if (argc > 2) {
        cli_complain("help: it takes one command, and there is also '%s'", argv[2]);
        return CLI_USAGE;
    }
    if (argc == 1) {
        print_general_help(stdout);
        return cli_finish(CLI_OK);
    }
    command = wants_help(argv[1]) ? &help : find_command(argv[1]);
    if (command == NULL)
        return CLI_USAGE;
    command_print_help(command);
    return cli_finish(CLI_OK);
}

/* A file that is opened would get the number of a standard stream that is closed, and what is
   printed would go into it, a database even.  What stands there instead refuses all use. */
static bool fill_standard_streams(void)
{
    static const int modes[] = { O_WRONLY, O_RDONLY, O_WRONLY };

    for (int i = 0; i <= STDERR_FILENO; i++)
        if (fcntl(i, F_GETFD) < 0 && open("/dev/null", modes[i]) != i)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    const struct command *command;

    if (!fill_standard_streams())
        return CLI_FAILED;
    /* Only how characters are written: numbers stay as JSON wants them. */
    setlocale(LC_CTYPE, "");
    if (argc < 2) {
        print_general_help(stderr);
        return CLI_USAGE;
    }
    if (wants_help(argv[1]))
        return help_main(1, argv);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
        return command_run(&command_version, argc - 1, argv + 1);
    if (strcmp(argv[1], "--complete") == 0) { /* for completions/, and in no help */
        complete_print(commands, COMMANDS, argc - 2, argv + 2);
        return cli_finish(CLI_OK);
    }
    if (argv[1][0] == '-') {
        cli_complain("there is no option '%s' without a command; see 'lido help'", argv[1]);
        return CLI_USAGE;
    }
    command = find_command(argv[1]);
    return command == NULL ? CLI_USAGE : command_run(command, argc - 1, argv + 1);
}
