/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_FAKE_DRIVER_H
#define LIDO_TESTS_FAKE_DRIVER_H

/*
 * A driver that opens nothing, writes down every call, and fails when it is told to.
 *
 * Registered as "fake": open a pool on "fake:///any?pool=queue".  Connections are numbered
 * from 1 in the order of their opening.
 *
 * Threads: any.
 */
#include <lido/sys/driver.h>
#include <stddef.h>

/* Registers it and forgets everything from before. */
void fake_driver_install(void);

/* What was called since the last time, as "connect 1, reset 1, close 1"; the number is the
   connection's, a failing call has a '!' behind it; "savepoint NAME 1", "rollback-to NAME 1"
   and "release NAME 1" say which.  Valid until the next call. */
const char *fake_driver_calls(void);

/* The nth call from now (1 is the next) answers `code`; 0 disarms. */
void fake_driver_fail(int nth, int code);
/* 1 if the armed failure has happened. */
int fake_driver_has_failed(void);

/* Every reset from now on finds an open transaction (1), or answers an error (2); 0: clean. */
void fake_driver_find_unclean(int what);

/* Connections that are open now. */
int fake_driver_open_count(void);

/* Each connect from now on stops until fake_driver_let_connect(); how many stand there. */
void fake_driver_hold_connects(void);
void fake_driver_wait_for_held(int count);
void fake_driver_let_connect(void);

/* Closes a handle that is the host's own. */
void fake_driver_close(void *handle);

/* The number of a handle. */
int fake_driver_number(const void *handle);

/* The wait that a pool has set on a handle, to be called as SQLite would. */
int fake_driver_busy(const void *handle, int count);

/* The driver's own transaction state of a handle, LIDO_TXN_... */
void fake_driver_set_state(void *handle, int state);

#endif
