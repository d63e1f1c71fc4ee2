/* SPDX-License-Identifier: MIT */
/*
 * lido-bench housekeeping: the same job by lido and by another, round by round.
 *
 * Those that are compared run right after one another, and who is first moves on with each
 * round.  Before each the files that it makes are taken away and what the system still has to
 * write is written, so that nobody pays for another's pages.
 *
 * Threads: one.
 */
#include "housekeeping.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const housekeeping_subjects[HOUSEKEEPING_SUBJECTS] = {
    [BACKUP_LIDO] = "backup/lido",
    [BACKUP_LIDO_CHECKED] = "backup/lido_checked",
    [BACKUP_SHELL] = "backup/shell",
    [DUMP_LIDO] = "dump/lido",
    [DUMP_SHELL] = "dump/shell",
    [LOAD_LIDO] = "load/lido",
    [LOAD_SHELL] = "load/shell",
    [COPY_LIDO] = "copy/lido",
    [COPY_BARE] = "copy/bare",
    [COPY_IN_FILE_LIDO] = "copy_in_file/lido",
    [COPY_IN_FILE_BARE] = "copy_in_file/bare",
};
const char *const housekeeping_memory[HOUSEKEEPING_MEMORY] = { "backup", "dump", "load",
                                                               "copy", "check" };

/* Those that are compared with each other. */
static const struct {
    unsigned first, end;
} groups[] = {
    { BACKUP_LIDO, BACKUP_SHELL + 1 },
    { DUMP_LIDO, DUMP_SHELL + 1 },
    { LOAD_LIDO, LOAD_SHELL + 1 },
    { COPY_LIDO, COPY_BARE + 1 },
    { COPY_IN_FILE_LIDO, COPY_IN_FILE_BARE + 1 },
};

struct files {
    char whole[HOUSEKEEPING_PATH]; /* a database to back up */
    char rows[HOUSEKEEPING_PATH];  /* one to dump and to copy from */
    char text[HOUSEKEEPING_PATH];  /* its dump */
    char made[HOUSEKEEPING_PATH];  /* what a job makes */
};

bool housekeeping_has(const struct housekeeping_run *run, unsigned subject)
{
    return run->shell_version[0] != '\0' ||
           (subject != BACKUP_SHELL && subject != DUMP_SHELL && subject != LOAD_SHELL);
}

/* --- one measurement -------------------------------------------------------------------- */

static int prepare(unsigned subject, const struct files *files, struct lido_error *err)
{
    int rc = LIDO_OK;

    housekeeping_remove(files->made);
    if (subject == COPY_LIDO || subject == COPY_BARE)
        rc = housekeeping_make_empty(files->made, err);
    else if (subject == COPY_IN_FILE_LIDO || subject == COPY_IN_FILE_BARE)
        rc = housekeeping_copy_file(files->rows, files->made, err);
    sync();
    return rc;
}

static int run_shell(const struct housekeeping_run *run, unsigned subject,
                     const struct files *files, struct housekeeping_cost *out,
                     struct lido_error *err)
{
    char command[HOUSEKEEPING_PATH + 16];
    const char *const backup[3] = { files->whole, command };
    const char *const dump[3] = { files->rows, ".dump" };
    const char *const load[3] = { files->made, command };

    snprintf(command, sizeof command, "%s '%s'",
             subject == BACKUP_SHELL ? ".backup" : ".read",
             subject == BACKUP_SHELL ? files->made : files->text);
    return housekeeping_run_shell(run->shell,
                                  subject == BACKUP_SHELL ? backup
                                  : subject == DUMP_SHELL ? dump
                                                          : load,
                                  subject == DUMP_SHELL ? files->made : NULL, out, err);
}

static int run_subject(const struct housekeeping_run *run, unsigned subject,
                       const struct files *files, struct housekeeping_cost *out,
                       struct lido_error *err)
{
    int rc = prepare(subject, files, err);

    if (rc != LIDO_OK)
        return rc;
    switch (subject) {
    case BACKUP_LIDO:
        return housekeeping_run_job("backup", files->whole, files->made, out, err);
    case BACKUP_LIDO_CHECKED:
        return housekeeping_run_job("backup_checked", files->whole, files->made, out, err);
    case DUMP_LIDO: return housekeeping_run_job("dump", files->rows, files->made, out, err);
    case LOAD_LIDO: return housekeeping_run_job("load", files->text, files->made, out, err);
    case COPY_LIDO: return housekeeping_run_job("copy", files->rows, files->made, out, err);
    case COPY_BARE:
        return housekeeping_run_job("bare_copy", files->rows, files->made, out, err);
    case COPY_IN_FILE_LIDO:
        return housekeeping_run_job("copy", files->made, files->made, out, err);
    case COPY_IN_FILE_BARE:
        return housekeeping_run_job("bare_copy_in_file", files->made, files->made, out,
                                    err);
    default: return run_shell(run, subject, files, out, err);
    }
}

static int run_round(struct housekeeping_run *run, unsigned round,
                     const struct files *files, struct lido_error *err)
{
    int rc = LIDO_OK;

    for (unsigned i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        const unsigned size = groups[i].end - groups[i].first;

        for (unsigned j = 0; rc == LIDO_OK && j < size; j++) {
            const unsigned subject = groups[i].first + (j + round) % size;

            if (housekeeping_has(run, subject))
                rc = run_subject(run, subject, files, &run->costs[subject][round], err);
        }
    }
    return rc;
}

/* --- memory ----------------------------------------------------------------------------- */

/* Of each job with a database of so many megabytes. */
static int measure_peaks(double peaks_kb[HOUSEKEEPING_MEMORY], unsigned megabytes,
                         const struct files *files, struct lido_error *err)
{
    int rc;

    housekeeping_remove(files->rows);
    rc = housekeeping_make(files->rows, megabytes, true, err);
    for (unsigned i = 0; rc == LIDO_OK && i < HOUSEKEEPING_MEMORY; i++) {
        const char *name = housekeeping_memory[i];
        const bool is_load = strcmp(name, "load") == 0;
        const bool is_dump = strcmp(name, "dump") == 0;
        struct housekeeping_cost cost = { .peak_kb = 0 };

        housekeeping_remove(files->made);
        if (strcmp(name, "copy") == 0)
            rc = housekeeping_make_empty(files->made, err);
        if (rc == LIDO_OK) /* the dump is what is loaded */
            rc = housekeeping_run_job(name, is_load ? files->text : files->rows,
                                      is_dump ? files->text : files->made, &cost, err);
        peaks_kb[i] = cost.peak_kb;
    }
    housekeeping_remove(files->made);
    housekeeping_remove(files->text);
    housekeeping_remove(files->rows);
    return rc;
}

/* ---------------------------------------------------------------------------------------- */

static void find_shell(struct housekeeping_run *run, const struct files *files)
{
    const char *const arguments[3] = { ":memory:", "SELECT sqlite_version()" };
    struct housekeeping_cost cost;
    FILE *said;

    if (housekeeping_run_shell(run->shell, arguments, files->made, &cost, NULL) != LIDO_OK)
        return;
    said = fopen(files->made, "re");
    if (said != NULL && fgets(run->shell_version, sizeof run->shell_version, said) != NULL)
        run->shell_version[strcspn(run->shell_version, "\n")] = '\0';
    if (said != NULL)
        fclose(said);
}

int housekeeping_measure(struct housekeeping_run *run, const struct scratch *scratch,
                         struct lido_error *err)
{
    struct housekeeping_cost cost;
    struct files files;
    int rc;

    snprintf(files.whole, sizeof files.whole, "%s/whole.db", scratch->path);
    snprintf(files.rows, sizeof files.rows, "%s/rows.db", scratch->path);
    snprintf(files.text, sizeof files.text, "%s/rows.sql", scratch->path);
    snprintf(files.made, sizeof files.made, "%s/made.db", scratch->path);
    find_shell(run, &files);
    rc = housekeeping_make(files.whole, run->backup_mb, true, err);
    if (rc == LIDO_OK)
        rc = housekeeping_make(files.rows, run->rows_mb, true, err);
    if (rc == LIDO_OK)
        rc = housekeeping_run_job("dump", files.rows, files.text, &cost, err);
    for (unsigned round = 0; rc == LIDO_OK && round < run->rounds; round++)
        rc = run_round(run, round, &files, err);
    housekeeping_remove(files.made);
    if (rc == LIDO_OK)
        rc = housekeeping_measure_writers(run, files.whole, scratch, err);
    housekeeping_remove(files.whole);
    if (rc == LIDO_OK)
        rc = measure_peaks(run->peak_small_kb, run->small_mb, &files, err);
    if (rc == LIDO_OK)
        rc = measure_peaks(run->peak_big_kb, run->big_mb, &files, err);
    return rc;
}
