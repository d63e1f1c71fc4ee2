/* SPDX-License-Identifier: MIT */
/*
 * Housekeeping of a database that is in use: a check, a backup of a table and of all, something
 * that goes wrong, and the way back, while a pool has the database open.
 *
 *     housekeeping [DATABASE]
 *
 * It makes DATABASE and DATABASE.backup, or puts their content anew.  Answers 0 only if all is
 * as it was before the mistake, read on the connection that made it.
 *
 * Threads: one.
 */
#include <lido/lido.h>
#include <stdio.h>

static const char content[] =
    "DROP TABLE IF EXISTS account_before; DROP TABLE IF EXISTS account;"
    "CREATE TABLE account (id INTEGER PRIMARY KEY, owner TEXT NOT NULL UNIQUE COLLATE "
    "NOCASE,"
    "    balance INTEGER NOT NULL CHECK (balance >= 0));"
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
    "    INSERT INTO account SELECT i, 'owner ' || i, 10 FROM n;";

static int tell(void *ctx, const struct lido_progress *now, struct lido_error *err)
{
    (void)ctx, (void)err;
    printf("  %s: %llu %s", now->phase, (unsigned long long)now->done, now->unit);
    if (now->share >= 0) /* else it is not known */
        printf(", %.0f %%", 100 * now->share);
    printf("\n");
    return LIDO_OK; /* another code would end the job, and leave nothing of it */
}

static int is_sound(const char *path, int *sound, struct lido_error *err)
{
    struct lido_check_options options = LIDO_CHECK_OPTIONS_INIT;
    struct lido_check check = LIDO_CHECK_INIT;
    int rc;

    options.depth = LIDO_DEPTH_FULL;
    options.foreign_keys = 1;
    rc = lido_check(lido_at_path(path), &options, &check, err);
    *sound = check.verdict == LIDO_CHECK_SOUND;
    printf("%s: %s\n", path,
           rc == LIDO_OK ? lido_check_name(check.verdict) : "not checked");
    return rc;
}

static int keep(void *ctx, const struct lido_stmt *row, struct lido_error *err)
{
    (void)err;
    *(long long *)ctx = (long long)lido_stmt_integer(row, 0);
    return LIDO_OK;
}

static int sum(lido_pool *pool, long long *all, struct lido_error *err)
{
    return lido_pool_query(pool, "SELECT sum(balance) FROM account", NULL, 0, keep, all,
                           err);
}

/* The table beside itself, all of it into a file, a mistake, and the file back. */
static int play(lido_pool *pool, const char *backup, long long *all, struct lido_error *err)
{
    struct lido_backup_options options = LIDO_BACKUP_OPTIONS_INIT;
    struct lido_table_result copied = LIDO_TABLE_RESULT_INIT;
    struct lido_backup made = LIDO_BACKUP_INIT;
    const struct lido_database at = lido_at_pool(pool);
    struct lido_job job = LIDO_JOB_INIT;
    int rc;

    job.progress = tell;
    job.timeout_ms = 60000;
    options.job = &job;
    options.replace = 1; /* of an earlier run; nobody has that open */

    rc = lido_table_backup(at, "account", "account_before", NULL, &copied, err);
    if (rc == LIDO_OK)
        rc = lido_backup(at, backup, &options, &made, err);
    if (rc != LIDO_OK)
        return rc;
    printf("%llu rows in account_before, %llu pages in %s\n",
           (unsigned long long)copied.rows_written, (unsigned long long)made.pages, backup);

    rc = lido_pool_exec(pool, "UPDATE account SET balance = 0", err); /* no WHERE */
    if (rc == LIDO_OK)
        rc = lido_restore(at, backup, NULL, err); /* the pool stays open */
    if (rc == LIDO_OK)
        rc = sum(pool, all, err);
    return rc;
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "housekeeping.db";
    struct lido_error err = LIDO_ERROR_INIT;
    char backup[4096], url[4096];
    lido_pool *pool = NULL;
    long long all = 0;
    int sound = 0, rc;

    snprintf(backup, sizeof backup, "%s.backup", path);
    snprintf(url, sizeof url, "sqlite:///%s?pool=queue", path);
    rc = lido_load_text(lido_at_path(path), NULL, content, sizeof content - 1, NULL, &err);
    if (rc == LIDO_OK)
        rc = lido_pool_open(&pool, url, NULL, &err);
    if (rc == LIDO_OK)
        rc = play(pool, backup, &all, &err);
    if (rc == LIDO_OK)
        rc = is_sound(path, &sound, &err);
    lido_pool_free(pool);
    if (rc != LIDO_OK)
        fprintf(stderr, "%s\n", err.text);
    else
        printf("%lld on all accounts\n", all);
    return rc != LIDO_OK || !sound || all != 10000;
}
