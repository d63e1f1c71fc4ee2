/* SPDX-License-Identifier: MIT */
/*
 * Upkeep when memory is out, at any allocation.
 */
#include "tests/support/failing_malloc.h"
#include "tests/support/upkeep_stage.h"

TestSuite(upkeep_memory, .init = set_up, .fini = clear, .timeout = 120);

/* For each n the n-th allocation fails: an answer, no leak, and the rows are there. */
static void fail_each(int which)
{
    long outstanding;

    for (int n = 1;; n++) {
        int rc, has_fired;

        outstanding = failing_malloc_outstanding();
        failing_malloc_arm(n);
        rc = run(which, lido_at_path(path));
        has_fired = failing_malloc_fired();
        failing_malloc_arm(0);
        if (!has_fired) {
            cr_expect_eq(rc, LIDO_OK, "%d: %s", which, err.text);
            break;
        }
        if (n > 1)
            cr_expect_eq(failing_malloc_outstanding(), outstanding, "%d: %d leaks", which,
                         n);
        cr_assert_eq(number("SELECT count(*) FROM t"), 20, "%d: at %d", which, n);
    }
}

Test(upkeep_memory, may_be_out_at_any_allocation)
{
    failing_malloc_install();
    sql("PRAGMA auto_vacuum=incremental; CREATE TABLE t (x, y); CREATE INDEX i ON t (y);"
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)"
        " INSERT INTO t SELECT i, randomblob(400) FROM n; DELETE FROM t WHERE x > 20");
    for (int which = 0; which < JOBS; which++)
        fail_each(which);
}
