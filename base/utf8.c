/* SPDX-License-Identifier: MIT */
/*
 * Is it UTF-8?  Eight bytes at a time as long as they are ASCII.
 *
 * Threads: any; nothing is shared.
 */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

static bool is_tail(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* How many bytes the character has that begins at `at`, of which `left` are there; 0: none. */
static size_t character(const unsigned char *at, size_t left)
{
    unsigned char first = at[0], low = 0x80, high = 0xbf;
    size_t length;

    if (first < 0x80)
        return 1;
    length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (length == 0 || length > left)
        return 0;
    switch (first) {
    case 0xe0: low = 0xa0; break;  /* else overlong */
    case 0xed: high = 0x9f; break; /* else a surrogate */
    case 0xf0: low = 0x90; break;  /* else overlong */
    case 0xf4: high = 0x8f; break; /* else beyond U+10FFFF */
    default: break;
    }
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if (!is_tail(at[i]))
            return 0;
    return length;
}

bool lido__utf8_is_valid(const char *text, size_t size)
{
    const unsigned char *at = (const unsigned char *)text;
    const unsigned char *end = at + size;
    uint64_t word;
    size_t length;

    while (at < end) {
        if ((size_t)(end - at) >= sizeof word) {
            memcpy(&word, at, sizeof word);
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                at += sizeof word;
                continue;
            }
        }
        length = character(at, (size_t)(end - at));
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}
