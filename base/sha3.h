/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BASE_SHA3_H
#define LIDO_BASE_SHA3_H

/*
 * SHA3-256, as FIPS 202 has it.
 *
 * Threads: one for each.
 */
#include <stddef.h>
#include <stdint.h>

#define LIDO__SHA3_BYTES 32

/* Zeros: nothing was added. */
struct lido__sha3 {
    uint64_t lanes[25];
    size_t filled; /* bytes of the block that is begun */
};

void lido__sha3_add(struct lido__sha3 *sha3, const void *bytes, size_t size);
/* Nothing may be added after. */
void lido__sha3_end(struct lido__sha3 *sha3, unsigned char out[LIDO__SHA3_BYTES]);

#endif
