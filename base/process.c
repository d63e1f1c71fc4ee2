/* SPDX-License-Identifier: MIT */
/*
 * This process: its version, the SQLite it is linked to and what is set for all of it, whether
 * it was forked, its threads.
 *
 * The mark's page is made by the first pool and never given back.  `open_pools` lives beside
 * it in ordinary memory and is therefore inherited: a child that was forked while no pool
 * was open finds 0 there, inherited no lock and no connection, and may set the mark anew.
 *
 * Threads: any; `lock` guards open_pools and the making of the page.
 */
#include "base/process.h"
#include "base/lives.h"

#include <lido/process.h>

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#ifndef MADV_WIPEONFORK
#error "MADV_WIPEONFORK is hidden by feature macros: define _GNU_SOURCE"
#endif
#endif

#define MARK UINT64_C(0x6c69646f2d757021)

#if SQLITE_VERSION_NUMBER < LIDO_SQLITE_LEAST
#error "lido needs SQLite 3.37 or newer"
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static lido__word open_pools; /* written under the lock */
static lido__word *page;

/* While no pool is open nothing can have been forked away from it. */
static lido__word never_forked = MARK;
lido__word *_Atomic lido__fork_mark = &never_forked;

_Thread_local uint64_t lido__thread_self;

const char *lido_version(void)
{
    return LIDO_VERSION;
}

int lido_version_number(void)
{
    return LIDO_VERSION_NUMBER;
}

/* Whether SQLite is in use already is known to SQLite alone: it may be by other code. */
int lido_process_tune(struct lido_error *err)
{
    int rc = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);

    if (rc == SQLITE_MISUSE)
        return lido_fail(err, rc,
                         "SQLite was in use already, and what holds for the whole process "
                         "can be set only before: nothing was changed");
    if (rc != SQLITE_OK)
        return lido_fail(err, rc, "SQLITE_CONFIG_MEMSTATUS: %s", sqlite3_errstr(rc));
    return LIDO_OK;
}

int lido__fail_forked(struct lido_error *err)
{
    return lido_fail(err, LIDO_FORKED,
                     "this process was forked while a pool was open; SQLite must not be "
                     "used in it before exec");
}

void lido__thread_name_self(void)
{
#if defined(__linux__)
    uint64_t id = (uint64_t)syscall(SYS_gettid);
#else
    uint64_t id = 0; /* its number will do */
#endif

    lido__thread_self = lido__life_begin(id, lido__thread_self);
}

#if defined(__linux__)
static lido__word *make_page(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
    if (madvise(memory, size, MADV_WIPEONFORK) != 0) {
        munmap(memory, size);
        return NULL;
    }
    return memory;
}
#else
static lido__word mark_here;

static void forget_mark(void)
{
    lido__write(&mark_here, 0);
}

static lido__word *make_page(void)
{
    return pthread_atfork(NULL, NULL, forget_mark) == 0 ? &mark_here : NULL;
}
#endif

static int check_sqlite(struct lido_error *err)
{
    if (sqlite3_libversion_number() < LIDO_SQLITE_LEAST)
        return lido_fail(err, LIDO_SQLITE_UNFIT,
                         "SQLite %s is linked, the least that works is 3.37.0",
                         sqlite3_libversion());
    if (sqlite3_threadsafe() == 0)
        return lido_fail(err, LIDO_SQLITE_UNFIT,
                         "SQLite %s is linked, but built without threads "
                         "(SQLITE_THREADSAFE=0)",
                         sqlite3_libversion());
    return LIDO_OK;
}

int lido__process_enter(struct lido_error *err)
{
    int rc = check_sqlite(err);

    if (rc != LIDO_OK)
        return rc;
    /* Without the lock, which another thread may have held when this process was forked.
       Who sees that a pool was opened here also sees the mark that was set before. */
    if (lido__observe(&open_pools) > 0 && lido__is_forked())
        return lido__fail_forked(err);
    pthread_mutex_lock(&lock);
    if (page == NULL)
        page = make_page();
    if (page == NULL)
        rc = lido_fail(err, SQLITE_NOMEM, "no page of memory to notice forks with");
    if (rc == LIDO_OK) {
        if (lido__read(&open_pools) == 0) {
            lido__thread_name_self(); /* a child's thread has another id than its parent's */
            lido__write(page, MARK);
            atomic_store(&lido__fork_mark, page);
        }
        lido__publish(&open_pools, lido__read(&open_pools) + 1);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

void lido__process_leave(void)
{
    pthread_mutex_lock(&lock);
    lido__publish(&open_pools, lido__read(&open_pools) - 1);
    if (lido__read(&open_pools) == 0) /* nor can anything be forked away from no pool */
        atomic_store(&lido__fork_mark, &never_forked);
    pthread_mutex_unlock(&lock);
}
