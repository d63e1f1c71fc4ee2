/* SPDX-License-Identifier: MIT */
/*
 * lido-bench write: which cells there are, and whose turn it is.
 *
 * Cells are measured in groups, each beside one reference: SQLite alone with one thread,
 * which syncs as the group does.  A turn of the reference stands before and after each turn
 * of a cell, and the cell's throughput is compared with the mean of the two:
 *
 *     reference, cell 1, reference, cell 2, reference, cell 1, ... reference
 *
 * A round has a slice of each cell; which is first moves on with each round.  The slices of
 * a cell together are its window.
 *
 * Threads: one.
 */
#include "write.h"

#include <string.h>

#define WARM_UP_NS 200000000 /* at most: every connection is opened, the log has its size */

struct group {
    const struct write_spec *specs;
    unsigned n_specs;
    unsigned slices; /* in each part of the window */
};

static const struct write_spec full1ms[] = {
    { WRITE_FULL1MS, WRITE_GATE, 8, 1 },  { WRITE_FULL1MS, WRITE_BARE, 8, 1 },
    { WRITE_FULL1MS, WRITE_HOOK, 8, 1 },  { WRITE_FULL1MS, WRITE_GATE, 32, 1 },
    { WRITE_FULL1MS, WRITE_BARE, 32, 1 },
};

static const struct write_spec normal[] = {
    { WRITE_NORMAL, WRITE_GATE, 8, 1 },        { WRITE_NORMAL, WRITE_HOOK, 8, 1 },
    { WRITE_NORMAL, WRITE_GATE, 32, 1 },       { WRITE_NORMAL, WRITE_BARE, 32, 1 },
    { WRITE_NORMAL, WRITE_READ_FIRST, 16, 1 }, { WRITE_NORMAL, WRITE_READ_DEFERS, 16, 1 },
};

static const struct write_spec alone[] = {
    { WRITE_NORMAL, WRITE_GATE, 1, 1 },
    { WRITE_NORMAL, WRITE_UNGATED, 1, 1 },
};

static const struct write_spec processes[] = {
    { WRITE_FULL1MS, WRITE_PROCESS, 2, 4 },
    { WRITE_FULL1MS, WRITE_BARE, 2, 4 },
};

/* What is nearly equal takes many short slices to tell apart. */
static const struct group groups[] = {
    { full1ms, sizeof full1ms / sizeof full1ms[0], 1 },
    { normal, sizeof normal / sizeof normal[0], 1 },
    { alone, sizeof alone / sizeof alone[0], WRITE_SLICES / WRITE_PARTS },
    { processes, sizeof processes / sizeof processes[0], 1 },
};

/* --- turns ---------------------------------------------------------------------------- */

struct turns {
    struct write_cell *reference, *cells;
    unsigned n_cells;
    int64_t slice_ns;
    double *waits; /* for the reference's next turn: the mean of both; NULL: nobody */
};

static int run_reference(struct turns *turns, int part, double *before,
                         struct lido_error *err)
{
    double per_s = 0;
    int rc = write_cell_run(turns->reference, part, turns->slice_ns / 2, &per_s, err);

    if (turns->waits != NULL)
        *turns->waits = (*turns->waits + per_s) / 2;
    if (before != NULL)
        *before = per_s;
    turns->waits = before;
    return rc;
}

static int run_round(struct turns *turns, unsigned slice, int part, struct lido_error *err)
{
    int rc = LIDO_OK;

    for (unsigned i = 0; rc == LIDO_OK && i < turns->n_cells; i++) {
        struct write_cell *cell = &turns->cells[(i + slice) % turns->n_cells];

        if (cell->is_absent)
            continue;
        rc = run_reference(turns, part, &cell->reference_per_s[slice], err);
        if (rc == LIDO_OK)
            rc = write_cell_run(cell, part, turns->slice_ns, &cell->per_s[slice], err);
        cell->slices = slice + 1;
    }
    return rc;
}

static int run_turns(struct turns *turns, unsigned slices, int64_t window_ns,
                     struct lido_error *err)
{
    const int64_t warm_up_ns = window_ns / 10 < WARM_UP_NS ? window_ns / 10 : WARM_UP_NS;
    int rc = write_cell_run(turns->reference, -1, warm_up_ns, NULL, err);

    turns->slice_ns = window_ns / ((int64_t)slices * WRITE_PARTS);
    for (unsigned i = 0; rc == LIDO_OK && i < turns->n_cells; i++)
        if (!turns->cells[i].is_absent)
            rc = write_cell_run(&turns->cells[i], -1, warm_up_ns, NULL, err);
    for (unsigned i = 0; rc == LIDO_OK && i < slices * WRITE_PARTS; i++)
        rc = run_round(turns, i, (int)(i / slices), err);
    if (rc == LIDO_OK)
        rc = run_reference(turns, WRITE_PARTS - 1, NULL, err);
    return rc;
}

/* A second of it cannot have a thousand commits that each take a millisecond. */
static int check_delay(const struct write_cell *reference, struct lido_error *err)
{
    if (reference->spec.sync == WRITE_FULL1MS &&
        (double)reference->done > 1000 * reference->window_s)
        return lido_fail(err, SQLITE_ERROR, "SQLite's syncs were not made slower");
    return LIDO_OK;
}

static int run_group(struct write_run *run, const struct group *group, unsigned number,
                     const struct scratch *scratch, struct lido_error *err)
{
    const struct write_spec reference = { group->specs[0].sync, WRITE_BARE, 1, 1 };
    struct turns turns = { .reference = &run->cells[run->n_cells],
                           .cells = &run->cells[run->n_cells + 1],
                           .n_cells = group->n_specs };
    unsigned first = run->n_cells;
    int rc;

    rc = write_cell_open(&run->cells[run->n_cells++], &reference, scratch, first, err);
    for (unsigned i = 0; rc == LIDO_OK && i < group->n_specs; i++) {
        unsigned next = run->n_cells++;

        rc = write_cell_open(&run->cells[next], &group->specs[i], scratch, next, err);
    }
    if (rc == LIDO_OK)
        rc = run_turns(&turns, group->slices, run->window_ns, err);
    for (unsigned i = first; rc == LIDO_OK && i < run->n_cells; i++) {
        run->cells[i].group = number;
        if (!run->cells[i].is_absent)
            rc = write_cell_finish(&run->cells[i], err);
    }
    return rc == LIDO_OK ? check_delay(turns.reference, err) : rc;
}

/* Each number of threads with each way to sync: a group of three. */
static int run_matrix(struct write_run *run, unsigned number, const struct scratch *scratch,
                      struct lido_error *err)
{
    static const enum write_sync syncs[] = { WRITE_NORMAL, WRITE_FULL, WRITE_FULL1MS };
    int rc = LIDO_OK;

    for (unsigned i = 0; i < 3; i++) {
        for (unsigned threads = 1; rc == LIDO_OK && threads <= 64; threads *= 2) {
            const struct write_spec specs[] = {
                { syncs[i], WRITE_GATE, threads, 1 },
                { syncs[i], WRITE_STRICT, threads, 1 },
                { syncs[i], WRITE_BARE, threads, 1 },
            };
            const struct group group = { specs, sizeof specs / sizeof specs[0], 1 };

            rc = run_group(run, &group, number++, scratch, err);
        }
    }
    return rc;
}

int write_run_cells(struct write_run *run, int is_all, const struct scratch *scratch,
                    struct lido_error *err)
{
    const unsigned n_groups = sizeof groups / sizeof groups[0];
    int rc = LIDO_OK;

    for (unsigned i = 0; rc == LIDO_OK && i < n_groups; i++)
        rc = run_group(run, &groups[i], i, scratch, err);
    if (rc == LIDO_OK && is_all)
        rc = run_matrix(run, n_groups, scratch, err);
    return rc;
}

const struct write_cell *write_find(const struct write_run *run,
                                    const struct write_spec *spec)
{
    for (unsigned i = 0; i < run->n_cells; i++) {
        const struct write_cell *cell = &run->cells[i];

        if (cell->spec.sync == spec->sync && cell->spec.kind == spec->kind &&
            cell->spec.threads == spec->threads && cell->processes == spec->processes)
            return cell->is_absent || cell->done == 0 ? NULL : cell;
    }
    return NULL;
}
