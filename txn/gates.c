/* SPDX-License-Identifier: MIT */
/*
 * Which files have a write gate, and how many use each.
 *
 * gates_lock guards the list and the counts, and no other lock is taken under it.  A gate is
 * found by its key, which is constant; it goes with its last user, who must not be in.
 *
 * Threads: any.
 */
#include "base/alloc.h"

#include "txn/gate_state.h"

static struct lido__mutex gates_lock = LIDO_MUTEX_INIT(LIDO_RANK_GATES);
static struct lido__gate *gates; /* guarded by gates_lock */

static struct lido__gate *use_locked(uint64_t device, uint64_t inode)
    LIDO_TSA(requires_capability(gates_lock))
{
    struct lido__gate *gate = gates;

    while (gate != NULL && (gate->device != device || gate->inode != inode))
        gate = gate->next;
    if (gate != NULL)
        gate->users++;
    return gate;
}

struct lido__gate *lido__gate_find(uint64_t device, uint64_t inode)
{
    struct lido__gate *gate, *made;

    lido__mutex_lock(&gates_lock);
    gate = use_locked(device, inode);
    lido__mutex_unlock(&gates_lock);
    if (gate != NULL)
        return gate;
    made = lido__new(sizeof *made);
    if (made == NULL)
        return NULL;
    *made = (struct lido__gate){ .device = device, .inode = inode, .users = 1 };
    lido__mutex_init(&made->lock, LIDO_RANK_GATE);
    lido__mutex_lock(&gates_lock);
    gate = use_locked(device, inode); /* another thread may have been faster */
    if (gate == NULL) {
        made->next = gates;
        gates = gate = made;
    }
    lido__mutex_unlock(&gates_lock);
    if (gate != made) {
        lido__mutex_fini(&made->lock);
        lido__free(made);
    }
    return gate;
}

void lido__gate_share(struct lido__gate *gate)
{
    lido__mutex_lock(&gates_lock);
    gate->users++;
    lido__mutex_unlock(&gates_lock);
}

void lido__gate_drop(struct lido__gate *gate)
{
    struct lido__gate **link = &gates;
    bool is_last;

    if (gate == NULL)
        return;
    lido__mutex_lock(&gates_lock);
    is_last = --gate->users == 0;
    if (is_last) {
        while (*link != gate)
            link = &(*link)->next;
        *link = gate->next;
    }
    lido__mutex_unlock(&gates_lock);
    if (!is_last)
        return;
    assert(!gate->is_held);
    lido__gate_file_close(lido__gate_file_of(gate));
    lido__mutex_fini(&gate->lock);
    lido__free(gate);
}

int lido__gate_compare(const struct lido__gate *left, const struct lido__gate *right)
{
    if (left->device != right->device)
        return left->device < right->device ? -1 : 1;
    return (left->inode > right->inode) - (left->inode < right->inode);
}
