/* SPDX-License-Identifier: MIT */
#include "tests/support/latch.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static enum { CLOSED, STANDING, OPEN } state;

static void set(int next)
{
    pthread_mutex_lock(&lock);
    state = next;
    pthread_cond_broadcast(&moved);
    pthread_mutex_unlock(&lock);
}

void latch_set_up(void)
{
    set(CLOSED);
}

void latch_open(void)
{
    set(OPEN);
}

void latch_stand(void)
{
    pthread_mutex_lock(&lock);
    if (state == CLOSED)
        state = STANDING;
    pthread_cond_broadcast(&moved);
    while (state != OPEN)
        pthread_cond_wait(&moved, &lock);
    pthread_mutex_unlock(&lock);
}

void latch_await(void)
{
    pthread_mutex_lock(&lock);
    while (state == CLOSED)
        pthread_cond_wait(&moved, &lock);
    pthread_mutex_unlock(&lock);
}

static void sql_latch(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    (void)argc, (void)argv;
    latch_stand();
    sqlite3_result_int(context, 1);
}

int latch_add_to(sqlite3 *db)
{
    return sqlite3_create_function(db, "latch", 0, SQLITE_UTF8, NULL, sql_latch, NULL,
                                   NULL);
}
