/* SPDX-License-Identifier: MIT */
#ifndef LIDO_REPORT_UNITS_H
#define LIDO_REPORT_UNITS_H

/*
 * Numbers as people read them: three digits and a unit.
 */
#include <stdint.h>

enum { UNITS_TEXT = 32 };
struct units_text {
    char text[UNITS_TEXT];
};

struct units_text units_time(int64_t ns);    /* "840 ns", "12.3 us", "4.56 ms", "1.23 s" */
struct units_text units_bytes(int64_t size); /* "512 B", "1.20 kB", "34.5 MB" */
struct units_text units_count(int64_t n);    /* "18 345" */

#endif
