/* SPDX-License-Identifier: MIT */
/*
 * The command-line tool: finds the command and lets it have the rest of the line.
 *
 * Results go to stdout; progress and complaints go to stderr.
 *
 * Threads: one.
 */
#include "cli/cli.h"

#include <lido/lido.h>
#include <locale.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char general_help[] =
    "Usage: lido COMMAND [options]\n"
    "\n"
    "SQLite connections, lent to threads by a pool.\n"
    "\n"
    "  demo DATABASE     run pools on a copy of a database, and check what they did\n"
    "  version           print which lido and which SQLite this is\n"
    "  help [COMMAND]    print this, or what a command takes\n"
    "\n"
    "Also: lido --version, lido --help, lido COMMAND --help.\n"
    "\n"
    "Exit status: 0 done; 1 a check did not hold, or it could not be done; 2 wrong usage;\n"
    "4 the database is in use or needs recovery; 5 there is no such file or it is not a\n"
    "database; 130 interrupted by Ctrl-C.\n";

static const char version_help[] = "Usage: lido version\n"
                                   "\n"
                                   "Prints which lido and which SQLite this is.\n";

static const char help_help[] =
    "Usage: lido help [COMMAND]\n"
    "\n"
    "Prints what a command takes, or which commands there are.\n";

void cli_complain(const char *format, ...)
{
    va_list args;

    fputs("lido: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

int cli_finish(int answer)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return answer;
    cli_complain("what was to be printed could not be written");
    return answer == CLI_OK ? CLI_FAILED : answer;
}

static bool wants_help(const char *text)
{
    return strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0;
}

static int version_main(int argc, char **argv)
{
    if (argc > 1 && wants_help(argv[1])) {
        fputs(version_help, stdout);
        return cli_finish(CLI_OK);
    }
    if (argc > 1) {
        cli_complain("version: it takes nothing, and there is '%s'", argv[1]);
        return CLI_USAGE;
    }
    printf("lido %s (SQLite %s)\n", lido_version(), sqlite3_libversion());
    return cli_finish(CLI_OK);
}

static int help_main(int argc, char **argv);

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    { "demo", demo_main, demo_help },
    { "version", version_main, version_help },
    { "help", help_main, help_help },
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

/* The command of that name, or NULL after a complaint with a hint. */
static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    }
    /* A slip of the finger seldom hits the first letter. */
    for (size_t i = 0; i < COMMANDS; i++) {
        if (name[0] == commands[i].name[0]) {
            cli_complain("there is no command '%s'; did you mean '%s'? See 'lido help'",
                         name, commands[i].name);
            return NULL;
        }
    }
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
        fputs(general_help, stdout);
        return cli_finish(CLI_OK);
    }
    command = wants_help(argv[1]) ? &commands[COMMANDS - 1] : find_command(argv[1]);
    if (command == NULL)
        return CLI_USAGE;
    fputs(command->help, stdout);
    return cli_finish(CLI_OK);
}

int main(int argc, char **argv)
{
    const struct command *command;

    /* Only how characters are written: numbers stay as JSON wants them. */
    setlocale(LC_CTYPE, "");
    if (argc < 2) {
        fputs(general_help, stderr);
        return CLI_USAGE;
    }
    if (wants_help(argv[1]))
        return help_main(1, argv);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
        return version_main(argc - 1, argv + 1);
    if (argv[1][0] == '-') {
        cli_complain("there is no option '%s' without a command; see 'lido help'", argv[1]);
        return CLI_USAGE;
    }
    command = find_command(argv[1]);
    return command == NULL ? CLI_USAGE : command->run(argc - 1, argv + 1);
}
