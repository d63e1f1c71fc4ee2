/* SPDX-License-Identifier: MIT */
/*
 * The line of processes at a gate: who is in, who is next, what ends a wait, and what becomes
 * of it when processes fork and die.
 */
#include "tests/support/line.h"
#include "tests/support/neighbour.h"

#include <sched.h>
#include <sys/wait.h>

TestSuite(gate_line, .init = line_set_up, .fini = line_clear, .timeout = 30);

/* As time goes by. */
static int await_moving(struct waiter *waiter)
{
    while (lido__observe(&waiter->is_done) == 0) {
        fake_clock_advance_ms(1);
        sched_yield();
    }
    return await(waiter);
}

/* Which other process has that byte of the gate's; 0: none.  By a descriptor that lives until
   the test ends: closing it would free all locks of this process. */
static pid_t holder_at(int byte)
{
    static int fd = -1;
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

    if (fd < 0)
        fd = open(sidecar, O_RDWR | O_CLOEXEC);
    lock.l_start = (off_t)(inode * 16) + byte;
    cr_assert_eq(fcntl(fd, F_GETLK, &lock), 0);
    return lock.l_type == F_UNLCK ? 0 : lock.l_pid;
}

/* Returns when it stands there. */
static void let_stand(struct neighbour *neighbour, int stair)
{
    neighbour_ask(neighbour);
    while (holder_at(stair) != neighbour->pid)
        sched_yield();
}

/* --- in and out ----------------------------------------------------------------------- */

Test(gate_line, one_process_is_in)
{
    struct neighbour neighbour;
    char text[60];

    neighbour_start(&neighbour, database);
    opened();
    cr_expect(try());
    cr_expect_eq(neighbour_try(&neighbour), SQLITE_BUSY);
    leave();
    leave(); /* of who was in before it was opened */
    cr_expect_eq(neighbour_try(&neighbour), LIDO_OK);
    cr_expect_not(try());
    lido__gate_file_describe(file_in(&slot), text, sizeof text);
    cr_expect_neq(atoi(text + strlen("; process ")), 0, "%s", text);
    cr_expect_eq(neighbour_leave(&neighbour), LIDO_OK);
    cr_expect(try());
    lido__gate_file_describe(file_in(&slot), text, sizeof text);
    cr_expect_str_eq(text, "");
    neighbour_end(&neighbour);
}

Test(gate_line, without_one_there_is_nothing_to_take)
{
    char text[60] = "?";

    cr_expect(lido__gate_file_try(NULL, NULL));
    lido__gate_file_unlock(NULL);
    lido__gate_file_describe(NULL, text, sizeof text);
    cr_expect_str_eq(text, "");
    lido__gate_file_close(NULL);
}

Test(gate_line, past_the_deadline_nothing_is_left_behind)
{
    struct neighbour neighbour;
    struct waiter waiter;
    uint64_t waits, wait_ns;

    neighbour_start(&neighbour, database);
    opened();
    cr_assert_eq(neighbour_try(&neighbour), LIDO_OK);
    send(&waiter, 1000);
    do {
        sched_yield();
        lido__gate_file_count(file_in(&slot), &waits, &wait_ns);
    } while (waits == 0);
    fake_clock_advance_ms(1000);
    cr_expect_eq(await(&waiter), SQLITE_BUSY);
    lido__gate_file_count(file_in(&slot), &waits, &wait_ns);
    cr_expect_eq(waits, 1);
    cr_expect_eq(wait_ns, UINT64_C(1000000000));
    cr_expect_eq(neighbour_leave(&neighbour), LIDO_OK);
    cr_expect_eq(neighbour_try(&neighbour), LIDO_OK, "somebody is still on the stairs");
    neighbour_end(&neighbour);
}

static lido__word is_to_stop;

static int stop(const struct lido__gate_wait *self)
{
    (void)self;
    return lido__read(&is_to_stop) != 0 ? LIDO_CANCELLED : LIDO_OK;
}

Test(gate_line, who_is_cancelled_waits_no_more)
{
    struct neighbour neighbour;
    struct waiter waiter;

    neighbour_start(&neighbour, database);
    opened();
    cr_assert_eq(neighbour_try(&neighbour), LIDO_OK);
    waiter = (struct waiter){ .wait = { .who.clock = fake_clock(), .stop = stop } };
    waiter.wait.deadline_ns = LIDO_NO_DEADLINE;
    cr_assert_eq(pthread_create(&waiter.thread, NULL, wait_for_it, &waiter), 0);
    fake_clock_advance_ms(1);
    cr_expect_eq(lido__observe(&waiter.is_done), 0);
    lido__write(&is_to_stop, 1);
    cr_expect_eq(await_moving(&waiter), LIDO_CANCELLED);
    cr_expect_eq(neighbour_leave(&neighbour), LIDO_OK);
    cr_expect_eq(neighbour_try(&neighbour), LIDO_OK, "somebody is still on the stairs");
    neighbour_end(&neighbour);
}

/* Returns when it has come there. */
static void await_at(const struct neighbour *neighbour, int stair)
{
    while (holder_at(stair) != neighbour->pid)
        sched_yield();
}

Test(gate_line, they_stand_in_the_order_in_which_they_came)
{
    struct neighbour men[4];

    for (int i = 0; i < 4; i++)
        neighbour_start(&men[i], database);
    opened();
    cr_assert(try());
    for (int i = 0; i < 3; i++)
        let_stand(&men[i], i + 1);
    neighbour_kill(&men[0]);
    await_at(&men[2], 2); /* they move up */
    cr_expect_eq(holder_at(1), men[1].pid);
    let_stand(&men[3], 3);
    neighbour_kill(&men[1]);
    await_at(&men[3], 2);
    cr_expect_eq(holder_at(1), men[2].pid);
    neighbour_kill(&men[3]);
    leave();
    cr_expect_eq(neighbour_await(&men[2]), LIDO_OK);
    for (int i = 0; i < 4; i++)
        neighbour_end(&men[i]);
}

Test(gate_line, one_for_whom_there_is_no_stair_comes_in_all_the_same)
{
    struct neighbour men[9];

    for (int i = 0; i < 9; i++)
        neighbour_start(&men[i], database);
    opened();
    cr_assert(try());
    for (int i = 0; i < 8; i++)
        let_stand(&men[i], i + 1);
    neighbour_ask(&men[8]);
    for (int i = 0; i < 8; i++)
        neighbour_kill(&men[i]);
    await_at(&men[8], 1);
    leave();
    cr_expect_eq(neighbour_await(&men[8]), LIDO_OK);
    for (int i = 0; i < 9; i++)
        neighbour_end(&men[i]);
}

Test(gate_line, in_its_turn_it_comes_again_before_others)
{
    struct neighbour neighbour;

    neighbour_start(&neighbour, database);
    opened();
    cr_assert(try());
    let_stand(&neighbour, 1);
    neighbour_stop(&neighbour);
    leave();
    cr_expect(try(), "its turn is not over");
    leave();
    fake_clock_advance_ms(1);
    cr_expect_not(try(), "it is over, and another waits");
    neighbour_go_on(&neighbour);
    cr_expect_eq(neighbour_await(&neighbour), LIDO_OK);
    neighbour_end(&neighbour);
}

Test(gate_line, a_turn_ends_when_another_was_in)
{
    struct neighbour neighbour, second;

    neighbour_start(&neighbour, database);
    neighbour_start(&second, database);
    opened();
    cr_assert(try());
    leave();
    cr_assert_eq(neighbour_try(&neighbour), LIDO_OK);
    cr_expect_not(try());
    let_stand(&second, 1);
    neighbour_stop(&second);
    cr_expect_eq(neighbour_leave(&neighbour), LIDO_OK);
    cr_expect_not(try(), "one waits, and the turn is over");
    neighbour_go_on(&second);
    neighbour_end(&neighbour);
    neighbour_end(&second);
}

Test(gate_line, one_that_is_stopped_on_the_stairs_stops_nobody)
{
    struct neighbour neighbour;
    struct waiter waiter;

    neighbour_start(&neighbour, database);
    opened();
    cr_assert(try());
    let_stand(&neighbour, 1);
    neighbour_stop(&neighbour);
    leave();
    fake_clock_advance_ms(1);
    send(&waiter, 19);
    fake_clock_advance_ms(19);
    cr_expect_eq(await(&waiter), SQLITE_BUSY, "it may only be slow");
    send(&waiter, -1);
    cr_expect_eq(await_moving(&waiter), LIDO_OK);
    leave();
    neighbour_go_on(&neighbour);
    cr_expect_eq(neighbour_await(&neighbour), LIDO_OK);
    neighbour_end(&neighbour);
}

/* --- forks and deaths ----------------------------------------------------------------- */

Test(gate_line, a_child_neither_has_nor_drops_the_lock)
{
    struct neighbour neighbour;
    int status, fds[2];
    pid_t child;
    char byte;

    neighbour_start(&neighbour, database);
    opened();
    cr_assert(try());
    cr_assert_eq(pipe(fds), 0);
    child = fork();
    if (child == 0) {
        close(fds[1]);
        _exit(read(fds[0], &byte, 1) == 0 ? 0 : 1); /* until the parent lets go */
    }
    close(fds[0]);
    cr_expect_eq(neighbour_try(&neighbour), SQLITE_BUSY);
    close(fds[1]);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(neighbour_try(&neighbour), SQLITE_BUSY, "the lock went with the child");
    leave();
    cr_expect_eq(neighbour_try(&neighbour), LIDO_OK);
    neighbour_end(&neighbour);
}

Test(gate_line, who_is_killed_leaves_although_a_child_lives)
{
    struct neighbour neighbour;

    neighbour_start(&neighbour, database);
    opened();
    cr_assert_eq(neighbour_try(&neighbour), LIDO_OK);
    neighbour_breed(&neighbour);
    cr_expect_not(try());
    neighbour_kill(&neighbour);
    cr_expect(try());
    neighbour_end(&neighbour);
}
