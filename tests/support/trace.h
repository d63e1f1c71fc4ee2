/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_TRACE_H
#define LIDO_TESTS_TRACE_H

/*
 * What is in a folder, as one number: names, sizes, modes, times of change and every byte.  A
 * child reads it, so that no lock of this process is lost.
 *
 * Threads: one.
 */
#include <stdint.h>

uint64_t trace_of(const char *folder);

#endif
