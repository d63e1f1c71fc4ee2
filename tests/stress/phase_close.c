/* SPDX-License-Identifier: MIT */
/*
 * Phase close: pools are closed and freed while threads check out and in.
 *
 * Two teams open pool after pool, so that the memory of one team's pools and slots goes to
 * the other's while late check-ins still look at it.  A checkout answers LIDO_CLOSED at
 * last; leases that are out then stay good and are checked in while the owner frees the
 * pool.  A thread on the side tries leases of pools that are long gone.
 *
 * Threads: two teams of an owner and three users, and one with stale leases.
 */
#include "tests/stress/hammer.h"

#include <pthread.h>
#include <sched.h>

#define TEAMS    2
#define USERS    3
#define TEAM     (USERS + 1)
#define N_LEASES 64

struct team {
    struct hammer_meeting meeting;
    lido_pool *pool;      /* the owner's, shown to the users by the meeting */
    atomic_int left;      /* users that have had their LIDO_CLOSED */
    atomic_int done;      /* users that have checked everything in */
    atomic_int checkouts; /* in this pool */
};

struct teams {
    struct team team[TEAMS];
    int rounds;
    atomic_int working, opened, destroyed;
    pthread_mutex_t lock; /* guards stale and n_stale */
    struct lido_conn stale[N_LEASES];
    unsigned n_stale;
};

static void count_destroyed(void *ctx)
{
    atomic_fetch_add(&((struct teams *)ctx)->destroyed, 1);
}

/* Keeps a lease that is over, for try_stale. */
static void keep_stale(struct teams *teams, const struct lido_conn *conn)
{
    pthread_mutex_lock(&teams->lock);
    teams->stale[teams->n_stale++ % N_LEASES] = *conn;
    pthread_mutex_unlock(&teams->lock);
}

static void check_in(struct teams *teams, struct lido_conn *conn, uint64_t *random)
{
    struct lido_conn copy = *conn;
    int rc;

    bare_let_go(conn);
    rc = lido_conn_checkin(conn, NULL, NULL);
    hammer_expect(rc == LIDO_OK, "a check-in answered %s", lido_status_name(rc));
    if (hammer_random(random, 8) == 0)
        keep_stale(teams, &copy);
}

/* Checks out and in until the pool is closed; the leases that it has then are left. */
static int use_until_closed(struct teams *teams, struct team *team,
                            struct lido_conn *leases, uint64_t *random)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    int held = 0;

    for (;;) {
        int rc;

        options.timeout_ms = held > 0 ? LIDO_TIMEOUT_TRY : LIDO_TIMEOUT_FOREVER;
        rc = lido_pool_checkout(team->pool, &leases[held], &options, NULL);
        if (rc == LIDO_CLOSED)
            return held;
        if (rc == LIDO_OK) {
            bare_hold(&leases[held++]);
            atomic_fetch_add_explicit(&team->checkouts, 1, memory_order_relaxed);
        } else {
            hammer_expect(rc == LIDO_POOL_TIMEOUT && held > 0, "a checkout answered %s",
                          lido_status_name(rc));
        }
        hammer_pause(random);
        if (held == 2 || (held == 1 && hammer_random(random, 2) == 0))
            check_in(teams, &leases[--held], random);
    }
}

static void use(struct teams *teams, struct team *team, uint64_t *random)
{
    for (int i = 0; i < teams->rounds; i++) {
        struct lido_conn leases[2];
        int held;

        hammer_meet(&team->meeting);
        held = use_until_closed(teams, team, leases, random);
        atomic_fetch_add(&team->left, 1);
        hammer_pause(random);
        while (held > 0)
            check_in(teams, &leases[--held], random);
        atomic_fetch_add(&team->done, 1);
        hammer_meet(&team->meeting);
    }
}

static lido_pool *open_one(struct teams *teams, uint64_t *random)
{
    static const char *const urls[] = {
        "bare:///x?pool=queue&pool_size=2&max_overflow=1",
        "bare:///x?pool=queue&pool_size=1&max_overflow=0",
        "bare:///x?pool=queue&pool_size=9&max_overflow=9",
        "bare:///x?pool=null",
    };
    static const struct lido_events nothing = { .size = sizeof nothing };
    struct lido_hook_options options = LIDO_HOOK_OPTIONS_INIT;
    lido_pool *pool = hammer_open(urls[hammer_random(random, 4)]);

    options.destroy = count_destroyed;
    hammer_expect(lido_hooks_add(lido_pool_hooks(pool), NULL, &nothing, teams, &options,
                                 NULL) == LIDO_OK,
                  "no hook was added");
    atomic_fetch_add(&teams->opened, 1);
    return pool;
}

/* Once all is checked in, nothing is left for a second close to do. */
static void expect_empty(struct team *team)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    while (atomic_load(&team->done) < USERS)
        sched_yield();
    lido_pool_stats(team->pool, &stats, NULL);
    hammer_expect(stats.live == 0 && stats.connects == stats.closes,
                  "%lld are live in a closed pool", (long long)stats.live);
}

static void own(struct teams *teams, struct team *team, uint64_t *random)
{
    for (int i = 0; i < teams->rounds; i++) {
        int until = (int)hammer_random(random, 60), rc;

        team->pool = open_one(teams, random);
        atomic_store(&team->left, 0);
        atomic_store(&team->done, 0);
        atomic_store(&team->checkouts, 0);
        hammer_meet(&team->meeting);
        while (atomic_load_explicit(&team->checkouts, memory_order_relaxed) < until)
            sched_yield();
        rc = lido_pool_close(team->pool, hammer_random(random, 3) != 0 ? 0 : 1, NULL);
        hammer_expect(rc == LIDO_OK || rc == LIDO_BUSY_LEASES, "close answered %s",
                      lido_status_name(rc));
        while (atomic_load(&team->left) < USERS)
            sched_yield();
        switch (hammer_random(random, 4)) {
        case 0: expect_empty(team); break;
        case 1:
            hammer_expect(lido_pool_close(team->pool, -1, NULL) == LIDO_OK, "close");
            break;
        default: hammer_pause(random); break;
        }
        lido_pool_free(team->pool);
        hammer_meet(&team->meeting);
    }
    atomic_fetch_sub(&teams->working, 1);
}

static void try_stale(struct teams *teams, uint64_t *random)
{
    while (atomic_load(&teams->working) > 0) {
        struct lido_conn conn = LIDO_CONN_INIT;

        pthread_mutex_lock(&teams->lock);
        if (teams->n_stale > 0)
            conn = teams->stale[hammer_random(
                random, teams->n_stale < N_LEASES ? teams->n_stale : N_LEASES)];
        pthread_mutex_unlock(&teams->lock);
        hammer_expect(lido_conn_handle(&conn) == NULL && lido_conn_sqlite(&conn) == NULL &&
                          lido_conn_pool(&conn) == NULL,
                      "a stale lease gave its connection");
        hammer_expect(lido_conn_set_label(&conn, "x", NULL) == LIDO_STALE &&
                          lido_conn_hand_over(&conn, NULL) == LIDO_STALE &&
                          lido_txn_begin(&conn, LIDO_DEFERRED, NULL) == LIDO_STALE &&
                          lido_conn_checkin(&conn, NULL, NULL) == LIDO_STALE,
                      "a stale lease was taken for a good one");
    }
}

static void run(void *ctx, int number, uint64_t *random)
{
    struct teams *teams = ctx;
    struct team *team = &teams->team[number / TEAM];

    if (number == TEAMS * TEAM)
        try_stale(teams, random);
    else if (number % TEAM == 0)
        own(teams, team, random);
    else
        use(teams, team, random);
}

void phase_close(void)
{
    struct teams teams = {
        .team = { { .meeting = { .count = TEAM } }, { .meeting = { .count = TEAM } } },
        .rounds = hammer_rounds(250),
        .working = TEAMS,
        .lock = PTHREAD_MUTEX_INITIALIZER,
    };

    bare_driver_install();
    hammer_run(TEAMS * TEAM + 1, run, &teams);
    hammer_expect(teams.destroyed == teams.opened, "%d of %d pools were freed",
                  teams.destroyed, teams.opened);
    hammer_expect(bare_driver_open_count() == 0, "%d connections leaked",
                  bare_driver_open_count());
}
