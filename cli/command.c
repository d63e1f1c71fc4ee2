/* SPDX-License-Identifier: MIT */
/*
 * The frame of a command: its line is read strictly, its work can be watched and interrupted,
 * and how it went is said once: by the results, or by a complaint, and by the exit status.
 *
 * Results go to stdout and only when the work is done, so that what is printed is whole.
 *
 * Threads: one, and the one that waits for Ctrl-C.
 */
#include "cli/command.h"

#include "cli/interrupt.h"
#include "cli/job_progress.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPTIONS_MOST = 24, TIMEOUT_MS = 5000 };
enum common { JSON = 1000, COLOR, PROGRESS, TIMEOUT };

static const struct option common[] = {
    { "help", no_argument, NULL, 'h' },
    { "json", no_argument, NULL, JSON },
    { "quiet", no_argument, NULL, 'q' },
    { "color", required_argument, NULL, COLOR },
    { "progress", required_argument, NULL, PROGRESS },
    { "timeout", required_argument, NULL, TIMEOUT },
};
enum { COMMON = sizeof common / sizeof common[0] };

const char command_common_help[] =
    "  --timeout S         how long to wait for locks, in seconds (5)\n"
    "  --json              print one JSON document\n"
    "  -q, --quiet         print nothing but complaints\n"
    "  --color WHEN        auto, always or never: auto on a terminal, unless NO_COLOR is\n"
    "                      set (auto)\n"
    "  --progress WHEN     auto, always or never: auto shows it on a terminal (auto)\n"
    "  -h, --help          print this\n"
    "\n"
    "Exit status: 0 done; 1 it could not be done; 2 wrong usage; 3 it found problems;\n"
    "4 the database is in use or needs recovery; 5 there is no such file or it is not a\n"
    "database; 130 interrupted by Ctrl-C.\n";

void command_print_help(const struct command *command)
{
    if (command->whole_help != NULL) {
        fputs(command->whole_help, stdout);
        return;
    }
    printf("Usage: lido %s [options]%s%s\n\n%s", command->name,
           command->operands[0] != '\0' ? " " : "", command->operands, command->help);
    fputs(command_common_help, stdout);
}

int command_exit(int code)
{
    switch (code) {
    case LIDO_OK: return CLI_OK;
    case LIDO_BAD_URL:
    case LIDO_BAD_OPTION: return CLI_USAGE;
    case LIDO_NOT_FOUND: return CLI_NO_DATABASE;
    default: break;
    }
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL: return CLI_BUSY;
    case SQLITE_CANTOPEN:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return CLI_NO_DATABASE;
    default: return CLI_FAILED;
    }
}

/* --- the line -------------------------------------------------------------------------- */

static int usage(const struct call *call, const char *what, const char *text)
{
    cli_complain("%s: %s%s%s; see 'lido help %s'", call->command->name, what,
                 text == NULL ? "" : " ", text == NULL ? "" : text, call->command->name);
    return CLI_USAGE;
}

int command_refuse(const struct call *call, const char *option, const char *what,
                   const char *value)
{
    cli_complain("%s: --%s wants %s, not '%s'", call->command->name, option, what, value);
    return CLI_USAGE;
}

int command_integer(const struct call *call, const char *option, const char *value,
                    int64_t least, int64_t most, int64_t *out)
{
    char *end, what[80];

    errno = 0;
    *out = strtoll(value, &end, 10);
    if (errno == 0 && value[0] != '\0' && strspn(value, "0123456789") == strlen(value) &&
        *out >= least && *out <= most)
        return CLI_OK;
    snprintf(what, sizeof what, "a whole number from %lld to %lld", (long long)least,
             (long long)most);
    return command_refuse(call, option, what, value);
}

int command_bytes(const struct call *call, const char *option, const char *value,
                  int64_t *out)
{
    static const char letters[] = "kmgtKMGT";
    const char *letter;
    char *end;
    int shift = 0;

    errno = 0;
    *out = strtoll(value, &end, 10);
    letter = *end != '\0' ? strchr(letters, *end) : NULL;
    if (letter != NULL) {
        shift = 10 * ((int)((letter - letters) % 4) + 1);
        end++;
    }
    if (errno != 0 || value[0] < '0' || value[0] > '9' || *end != '\0' || *out < 1 ||
        *out > INT64_MAX >> shift)
        return command_refuse(call, option, "bytes, as 500, 64K, 10M or 2G", value);
    *out <<= shift;
    return CLI_OK;
}

const char *command_refused(char **argv, const char *letters, char room[REFUSED_ROOM])
{
    const char *word = argv[optind - 1];

    if (optopt == 0)
        snprintf(room, REFUSED_ROOM, "there is no such option as %.100s", word);
    /* What is known was refused as a long option with a value. */
    else if (optopt > 0xff || strchr(letters, optopt) != NULL)
        snprintf(room, REFUSED_ROOM, "%.*s takes no value", (int)strcspn(word, "="), word);
    else
        snprintf(room, REFUSED_ROOM,
                 "there is no such option as -%c; a name that begins so goes behind --",
                 optopt > ' ' && optopt < 0x7f ? optopt : '?');
    return room;
}

void command_advise(struct call *call, const char *advice)
{
    const size_t used = strlen(call->err.text), size = sizeof call->err.text;

    if (used + strlen(advice) + 3 <= size)
        snprintf(call->err.text + used, size - used, "; %s", advice);
}

void command_print(const char *text)
{
    for (; *text != '\0'; text++)
        putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

/* 0 auto, 1 always, 2 never, as enum progress_when; -1: none of these. */
static int parse_when(const char *value)
{
    static const char *const names[] = { "auto", "always", "never" };

    for (int i = 0; i < 3; i++)
        if (strcmp(value, names[i]) == 0)
            return i;
    return -1;
}

static bool wants_color(int when)
{
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM");

    if (when != PROGRESS_AUTO)
        return when == PROGRESS_ALWAYS;
    return (none == NULL || none[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0 &&
           isatty(STDOUT_FILENO);
}

static int parse_timeout(struct call *call, const char *value)
{
    char *end;
    const double seconds = strtod(value, &end);

    /* No sign, and neither "inf" nor "nan". */
    if (strchr("0123456789.", value[0]) == NULL || value[0] == '\0' || *end != '\0' ||
        !(seconds <= 1e6))
        return command_refuse(call, "timeout", "seconds from 0 to 1000000", value);
    call->timeout_ms = (int64_t)(seconds * 1000);
    return CLI_OK;
}

static int take(struct call *call, int id, int *color)
{
    int when;

    switch (id) {
    case JSON: call->is_json = true; return CLI_OK;
    case 'q': call->is_quiet = true; return CLI_OK;
    case TIMEOUT: return parse_timeout(call, optarg);
    case COLOR:
    case PROGRESS:
        when = parse_when(optarg);
        if (when < 0)
            return command_refuse(call, id == COLOR ? "color" : "progress",
                                  "auto, always or never", optarg);
        if (id == COLOR)
            *color = when;
        else
            call->progress = (enum progress_when)when;
        return CLI_OK;
    default: return call->command->option(call, id, optarg);
    }
}

static int count_operands(struct call *call, int argc, char **argv)
{
    const struct command *command = call->command;

    call->operands = argv + optind;
    call->n_operands = argc - optind;
    if (call->n_operands > command->most && command->most == 0) {
        cli_complain("%s: it takes nothing, and there is '%s'", command->name,
                     call->operands[0]);
        return CLI_USAGE;
    }
    if (call->n_operands > command->most)
        return usage(call, "there is also", call->operands[command->most]);
    if (call->n_operands < command->least)
        return usage(call, "it wants", command->operands);
    return CLI_OK;
}

/* *wants_help: the rest of the line is not looked at. */
static int parse(struct call *call, int argc, char **argv, bool *wants_help)
{
    struct option all[OPTIONS_MOST] = { { NULL, 0, NULL, 0 } };
    int n = COMMON, color = PROGRESS_AUTO, id, rc;
    char letters[16], refused[REFUSED_ROOM];

    snprintf(letters, sizeof letters, ":hq%s",
             call->command->letters != NULL ? call->command->letters : "");
    memcpy(all, common, sizeof common);
    for (const struct option *own = call->command->options; own != NULL && own->name;
         own++) {
        assert(n < OPTIONS_MOST - 1);
        all[n++] = *own;
    }
    *wants_help = false;
    optind = 1;
    opterr = 0;
    while ((id = getopt_long(argc, argv, letters, all, NULL)) != -1) {
        if (id == ':')
            return usage(call, "a value is missing behind", argv[optind - 1]);
        if (id == '?')
            return usage(call, command_refused(argv, letters, refused), NULL);
        *wants_help = id == 'h';
        rc = *wants_help ? CLI_OK : take(call, id, &color);
        if (rc != CLI_OK || *wants_help)
            return rc;
    }
    call->has_color = wants_color(color);
    return count_operands(call, argc, argv);
}

/* --- the work -------------------------------------------------------------------------- */

static void fire(void *ctx)
{
    lido_cancel_fire(ctx, NULL);
}

/* run(), with progress and Ctrl-C; *number is that of a signal. */
static int work(struct call *call, int *number)
{
    struct job_progress progress;
    lido_cancel *cancel;
    int rc = lido_cancel_new(&cancel, &call->err);

    if (rc != LIDO_OK)
        return rc;
    call->job = (struct lido_job)LIDO_JOB_INIT;
    call->job.cancel = cancel;
    job_progress_init(&progress, call->is_quiet ? PROGRESS_NEVER : call->progress);
    call->job.progress = job_progress_told;
    call->job.progress_ctx = &progress;
    interrupt_hold();
    interrupt_watch(fire, cancel);
    rc = call->command->run(call);
    *number = interrupt_unwatch();
    interrupt_release();
    job_progress_end(&progress);
    lido_cancel_free(cancel);
    return rc;
}

static int complain(struct call *call, int code, int number)
{
    const int answer = code == LIDO_CANCELLED && number != 0 ? CLI_SIGNALLED + number
                       : call->answer != CLI_OK              ? call->answer
                                                             : command_exit(code);
    struct json json = { .out = stdout };
    char schema[64];

    /* What ended it is the signal, wherever it was then. */
    if (code == LIDO_CANCELLED && number != 0 &&
        strncmp(call->err.text, "cancelled", 9) != 0)
        snprintf(call->err.text, sizeof call->err.text, "cancelled");
    if (answer == CLI_BUSY && (code & 0xff) == SQLITE_BUSY)
        command_advise(call, "--timeout says how long to wait");
    /* A name in it may move a terminal's cursor. */
    for (char *at = call->err.text; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    if (answer != CLI_SIGNALLED + SIGPIPE) /* nobody reads on, and nobody asks why */
        cli_complain("%s: %s", call->command->name, call->err.text);
    if (!call->is_json || call->is_quiet)
        return answer;
    snprintf(schema, sizeof schema, "lido-%s/1", call->command->name);
    json_object(&json, NULL);
    json_text(&json, "schema", schema);
    json_object(&json, "error");
    json_integer(&json, "exit", answer);
    json_text(&json, "code", lido_status_name(code));
    json_text(&json, "message", call->err.text);
    json_close(&json);
    json_close(&json);
    return answer;
}

static void show(struct call *call)
{
    struct json json = { .out = stdout };
    char schema[64];

    if (call->is_quiet)
        return;
    if (!call->is_json) {
        call->command->text(call);
        return;
    }
    snprintf(schema, sizeof schema, "lido-%s/1", call->command->name);
    json_object(&json, NULL);
    json_text(&json, "schema", schema);
    call->command->json(call, &json);
    json_close(&json);
}

int command_run(const struct command *command, int argc, char **argv)
{
    struct call call = { .command = command,
                         .timeout_ms = TIMEOUT_MS,
                         .err = LIDO_ERROR_INIT };
    bool wants_help;
    int number = 0, rc;

    if (command->main != NULL)
        return command->main(argc, argv);
    rc = parse(&call, argc, argv, &wants_help);
    if (rc != CLI_OK)
        return rc;
    if (wants_help) {
        command_print_help(command);
        return cli_finish(CLI_OK);
    }
    rc = work(&call, &number);
    if (rc != LIDO_OK)
        return cli_finish(complain(&call, rc, number));
    show(&call);
    return cli_finish(call.answer);
}
