/* SPDX-License-Identifier: MIT */
/*
 * Phase holders: the list of who holds what, while leases come, go, change their labels and
 * their threads.
 *
 * A label is one letter again and again, so a list that mixed two of them shows it; the line
 * number belongs to the file name in the same way.
 *
 * Threads: four that hold, two that list.
 */
#include "tests/stress/hammer.h"

#include <string.h>

#define WORKERS 4
#define LISTERS 2

static const char *const files[2] = { "first.c", "second.c" };
static const int lines[2] = { 1111, 2222 };

struct listing {
    lido_pool *pool;
    int rounds;
    atomic_int working;
    atomic_long seen;
};

static void make_label(char *label, uint64_t *random)
{
    size_t length = hammer_random(random, 4) == 0 ? 5 : 31;

    memset(label, 'a' + (int)hammer_random(random, 26), length);
    label[length] = '\0';
}

static void work(struct listing *listing, uint64_t *random)
{
    for (int i = 0; i < listing->rounds; i++) {
        struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
        unsigned place = hammer_random(random, 2);
        struct lido_conn conn;
        char label[32];
        int rc;

        make_label(label, random);
        options.label = hammer_random(random, 3) != 0 ? label : NULL;
        rc = lido_pool_checkout_at(listing->pool, &conn, &options, files[place],
                                   lines[place], NULL);
        hammer_expect(rc == LIDO_OK, "a checkout answered %s", lido_status_name(rc));
        if (rc != LIDO_OK)
            continue;
        bare_hold(&conn);
        for (unsigned n = hammer_random(random, 30); n > 0; n--) {
            make_label(label, random);
            hammer_expect(lido_conn_set_label(&conn, n % 8 != 0 ? label : NULL, NULL) ==
                              LIDO_OK,
                          "no label");
            hammer_expect(lido_conn_hand_over(&conn, NULL) == LIDO_OK, "no hand-over");
        }
        bare_let_go(&conn);
        hammer_expect(lido_conn_checkin(&conn, NULL, NULL) == LIDO_OK, "a check-in failed");
    }
    atomic_fetch_sub(&listing->working, 1);
}

struct visit {
    struct listing *listing;
    int64_t last_age_ns;
    int count;
};

static int look(void *ctx, const struct lido_holder *holder)
{
    struct visit *visit = ctx;
    size_t length = strlen(holder->label);
    int place = holder->file == files[1];

    hammer_expect(
        holder->label[strspn(holder->label, (char[2]){ holder->label[0], '\0' })] == '\0',
        "a label of two: %s", holder->label);
    hammer_expect(length == 0 || length == 5 || length == 31, "a label cut: %s",
                  holder->label);
    hammer_expect(holder->file == files[place] && holder->line == lines[place],
                  "a line of another file");
    hammer_expect(holder->thread != 0 && holder->lease != 0, "nobody holds a lease");
    hammer_expect(holder->age_ns >= 0, "a lease is %lld ns old", (long long)holder->age_ns);
    hammer_expect(holder->age_ns <= visit->last_age_ns, "the longest is not first");
    visit->last_age_ns = holder->age_ns;
    visit->count++;
    atomic_fetch_add_explicit(&visit->listing->seen, 1, memory_order_relaxed);
    return 0;
}

static void list(struct listing *listing)
{
    while (atomic_load(&listing->working) > 0) {
        struct visit visit = { listing, INT64_MAX, 0 };

        hammer_expect(lido_pool_holders(listing->pool, look, &visit, NULL) == LIDO_OK,
                      "no list");
        hammer_expect(visit.count <= WORKERS, "%d hold", visit.count);
    }
}

static void run(void *ctx, int number, uint64_t *random)
{
    if (number < WORKERS)
        work(ctx, random);
    else
        list(ctx);
}

void phase_holders(void)
{
    struct listing listing = { .rounds = hammer_rounds(4000), .working = WORKERS };

    bare_driver_install();
    listing.pool = hammer_open("bare:///x?pool=queue&pool_size=4&max_overflow=0");
    hammer_run(WORKERS + LISTERS, run, &listing);
    hammer_expect(lido_pool_close(listing.pool, 0, NULL) == LIDO_OK, "close");
    lido_pool_free(listing.pool);
}
