/* SPDX-License-Identifier: MIT */
/*
 * Rings: threads that wait for each other, for slots of pools and at write gates.
 *
 * Who sleeps for a slot can go on when any lease of that pool ends, who sleeps at a gate when
 * its holder leaves.  A search follows this from the thread that is about to sleep:
 *
 *     this thread --slot of--> pool --leased by--> thread --at--> gate --held by--> thread ...
 *
 * If it comes only to threads that are known and sleep here too, then none of them can go on
 * before its time is over, and this thread gives up at once: the others then get what it has.
 * Wherever it comes to anything else (a thread that is awake or sleeps elsewhere, a lease that
 * is not one thread's alone, a connection that is being returned) it ends without an answer.
 *
 * Why the answer is never false.  What is found is found one after the other, but it was true
 * at one moment, when the search took `lock`.  Who is entered has to take that lock to get out,
 * and does nothing before: while the search has it a thread that is entered ends no lease and
 * leaves no gate, and gets no other either, except by that for which it waits; then it waits no
 * more, and `ask` says so.  So between threads that are entered nothing that a search looks for
 * can come about while it lasts; it can only end, by a thread that is none of them (a cancel, a
 * dispose, a lease that is handed over), or by a deadline that has passed.  Found later, it
 * was so before.
 *
 * Why none is missed.  Each is entered after it can be seen to wait, and searches after that
 * under the same lock.  A ring is complete when the last of its threads is entered; that one
 * finds all the others where they are, for none of them can move.  One that is woken to look
 * for itself, and sleeps again, is entered again.
 *
 * A search looks at pools and gates of others: these last as long as one that waits there,
 * which cannot go while it is entered.
 *
 * Cost: nothing where nobody sleeps.  Who does finds at the first look, nearly always, a holder
 * that is awake.
 *
 * Threads: any.  `lock` guards the table and comes before the locks of pools and gates.
 */
#include "pool/ring.h"
#include "base/process.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define BUCKETS 64

/* In the order in which they were found; each is asked once. */
struct lido__ring {
    struct lido__blocked *first;
    struct lido__blocked *last;
    unsigned length;
};

static struct lido__mutex lock = LIDO_MUTEX_INIT(LIDO_RANK_RING);
static struct lido__blocked *table[BUCKETS]; /* guarded by lock */

static struct lido__blocked **bucket_of(uint64_t thread)
{
    return &table[(thread >> LIDO__THREAD_ID_BITS) % BUCKETS];
}

static void enter_locked(struct lido__blocked *self) LIDO_TSA(requires_capability(lock))
{
    struct lido__blocked **bucket = bucket_of(self->thread);

    self->next = *bucket;
    self->link = bucket;
    if (self->next != NULL)
        self->next->link = &self->next;
    *bucket = self;
}

static void leave_locked(struct lido__blocked *self) LIDO_TSA(requires_capability(lock))
{
    *self->link = self->next;
    if (self->next != NULL)
        self->next->link = self->link;
    self->link = NULL;
}

static void append(struct lido__ring *ring, struct lido__blocked *found)
{
    found->is_found = true;
    found->after = NULL;
    found->label[0] = '\0';
    if (ring->last != NULL)
        ring->last->after = found;
    else
        ring->first = found;
    ring->last = found;
    ring->length++;
}

/* Called back under the lock, which the compiler does not see. */
bool lido__ring_add(struct lido__ring *ring, uint64_t thread, const char *label)
{
    struct lido__blocked *at = *bucket_of(thread);

    while (at != NULL && at->thread != thread)
        at = at->next;
    if (at == NULL)
        return false;
    if (!at->is_found)
        append(ring, at);
    if (at->label[0] == '\0')
        snprintf(at->label, sizeof at->label, "%s", label);
    return true;
}

static bool is_closed_locked(struct lido__ring *ring, struct lido__blocked *self)
    LIDO_TSA(requires_capability(lock))
{
    bool is_closed = true;

    append(ring, self);
    for (struct lido__blocked *at = ring->first; at != NULL && is_closed; at = at->after)
        is_closed = at->ask(at, ring);
    for (struct lido__blocked *at = ring->first; at != NULL; at = at->after)
        at->is_found = false;
    return is_closed;
}

/* As many as there is room for. */
static void describe_locked(const struct lido__ring *ring, char *text, size_t size)
    LIDO_TSA(requires_capability(lock))
{
    size_t used =
        (size_t)snprintf(text, size, "%u thread%s wait%s in a ring:", ring->length,
                         ring->length == 1 ? "" : "s", ring->length == 1 ? "s" : "");

    for (const struct lido__blocked *at = ring->first; at != NULL; at = at->after) {
        int more = snprintf(text + used, size - used, "%s %llu%s%s for %s",
                            at == ring->first ? "" : ",",
                            (unsigned long long)lido__thread_id(at->thread),
                            at->label[0] != '\0' ? " " : "", at->label, at->wants);

        if (more < 0 || used + (size_t)more >= size) {
            text[used] = '\0';
            return;
        }
        used += (size_t)more;
    }
}

bool lido__ring_enter(struct lido__blocked *self)
{
    struct lido__ring ring = { NULL, NULL, 0 };

    self->thread = lido__thread();
    self->is_found = false;
    lido__mutex_lock(&lock);
    enter_locked(self);
    self->is_told = is_closed_locked(&ring, self);
    if (self->is_told && self->text != NULL)
        describe_locked(&ring, self->text, LIDO__RING_TEXT);
    if (self->is_told)
        leave_locked(self);
    lido__mutex_unlock(&lock);
    return self->is_told;
}

unsigned lido__ring_count(void)
{
    unsigned count = 0;

    lido__mutex_lock(&lock);
    for (int i = 0; i < BUCKETS; i++)
        for (const struct lido__blocked *at = table[i]; at != NULL; at = at->next)
            count++;
    lido__mutex_unlock(&lock);
    return count;
}

void lido__ring_leave(struct lido__blocked *self)
{
    lido__mutex_lock(&lock);
    if (self->link != NULL)
        leave_locked(self);
    lido__mutex_unlock(&lock);
}
