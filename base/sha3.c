/* SPDX-License-Identifier: MIT */
/*
 * SHA3-256.
 *
 * A state of 25 lanes of 64 bits takes in 136 bytes at a time, each added to its place by an
 * exclusive or, and is stirred after each block; lane x, y of the standard is the one at
 * x + 5 y.  The bytes of a lane are the least first, whatever the machine's order is.
 *
 * Threads: one for each.
 */
#include "base/sha3.h"

#define BLOCK 136

/* What sets the rounds apart. */
static const uint64_t iota[24] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
    0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};
/* A walk over all lanes but the first: from x, y to y, 2 x + 3 y.  Step t moves what it meets
   one step on and turns it by (t + 1) (t + 2) / 2 bits. */
static const unsigned char walk[24] = { 10, 7,  11, 17, 18, 3, 5,  16, 8,  21, 24, 4,
                                        15, 23, 19, 13, 12, 2, 20, 14, 22, 9,  6,  1 };
static const unsigned char turn[24] = { 1,  3,  6,  10, 15, 21, 28, 36, 45, 55, 2,  14,
                                        27, 41, 56, 8,  25, 43, 62, 18, 39, 61, 20, 44 };

static uint64_t turned(uint64_t lane, unsigned bits)
{
    return lane << bits | lane >> (64 - bits);
}

static void stir(uint64_t *lanes)
{
    for (int round = 0; round < 24; round++) {
        uint64_t columns[5], moved;

        for (int x = 0; x < 5; x++)
            columns[x] =
                lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20];
        for (int x = 0; x < 5; x++) {
            const uint64_t both = columns[(x + 4) % 5] ^ turned(columns[(x + 1) % 5], 1);

            for (int y = 0; y < 25; y += 5)
                lanes[x + y] ^= both;
        }
        moved = lanes[1];
        for (int t = 0; t < 24; t++) {
            const uint64_t next = lanes[walk[t]];

            lanes[walk[t]] = turned(moved, turn[t]);
            moved = next;
        }
        for (int y = 0; y < 25; y += 5) {
            uint64_t row[5];

            for (int x = 0; x < 5; x++)
                row[x] = lanes[x + y];
            for (int x = 0; x < 5; x++)
                lanes[x + y] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
        }
        lanes[0] ^= iota[round];
    }
}

static void take(struct lido__sha3 *sha3, unsigned char byte)
{
    sha3->lanes[sha3->filled / 8] ^= (uint64_t)byte << (sha3->filled % 8 * 8);
    sha3->filled++;
}

void lido__sha3_add(struct lido__sha3 *sha3, const void *bytes, size_t size)
{
    const unsigned char *next = bytes;

    for (size_t i = 0; i < size; i++) {
        take(sha3, next[i]);
        if (sha3->filled == BLOCK) {
            stir(sha3->lanes);
            sha3->filled = 0;
        }
    }
}

void lido__sha3_end(struct lido__sha3 *sha3, unsigned char out[LIDO__SHA3_BYTES])
{
    take(sha3, 0x06);
    sha3->filled = BLOCK - 1;
    take(sha3, 0x80);
    stir(sha3->lanes);
    for (size_t i = 0; i < LIDO__SHA3_BYTES; i++)
        out[i] = (unsigned char)(sha3->lanes[i / 8] >> (i % 8 * 8));
}
