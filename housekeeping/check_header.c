/* SPDX-License-Identifier: MIT */
/*
 * The header of a database: the first 100 bytes, as SQLite's file format has them.
 *
 * What SQLite itself refuses is refused here, with a text that says which byte.  A file
 * without SQLite's first 16 bytes is either another file, or an encrypted database: that
 * has whole pages of 512 bytes at least, and bytes that look thrown by dice, or the bytes
 * 16 to 23 of a header, which some ciphers leave as they are.  So does damage to the first
 * bytes alone.
 *
 * Does not: read the file.
 *
 * Threads: any.
 */
#include "housekeeping/check_header.h"

#include <string.h>

#define MAGIC      "SQLite format 3"
#define MAGIC_SIZE 16
#define HEADER     100

/* 512 bytes of chance have 221 different ones, by mean, and less than 200 never; text and
   programs have far less. */
#define DICE_BYTES    512
#define DICE_DISTINCT 190

static uint32_t number_at(const unsigned char *bytes, int at)
{
    return (uint32_t)bytes[at] << 24 | (uint32_t)bytes[at + 1] << 16 |
           (uint32_t)bytes[at + 2] << 8 | (uint32_t)bytes[at + 3];
}

static int64_t page_size_of(const unsigned char *head)
{
    const int64_t size = (int64_t)head[16] << 8 | head[17];

    if (size == 1)
        return 65536;
    return size >= 512 && (size & (size - 1)) == 0 ? size : 0;
}

static bool has_fixed_bytes(const unsigned char *head)
{
    return head[21] == 64 && head[22] == 32 && head[23] == 32;
}

static bool looks_like_dice(const unsigned char *head)
{
    bool is_seen[256] = { false };
    int n_distinct = 0;

    for (int i = 0; i < DICE_BYTES; i++) {
        n_distinct += !is_seen[head[i]];
        is_seen[head[i]] = true;
    }
    return n_distinct >= DICE_DISTINCT;
}

static void tell_facts(struct lido_check *out, const unsigned char *head)
{
    static const char *const encodings[] = { "", "UTF-8", "UTF-16le", "UTF-16be" };
    const uint32_t pages = number_at(head, 28), encoding = number_at(head, 56);

    out->page_size = page_size_of(head);
    /* The number of pages holds only if whoever wrote last knew of it. */
    out->page_count = pages;
    if (pages == 0 || number_at(head, 24) != number_at(head, 92))
        out->page_count = out->page_size > 0 ? out->bytes / out->page_size : 0;
    out->free_pages = number_at(head, 36);
    out->schema_version = number_at(head, 40);
    out->encoding = encodings[encoding < 4 ? encoding : 0];
    out->user_version = (int32_t)number_at(head, 60);
    out->application_id = (int32_t)number_at(head, 68);
    out->is_wal = head[19] == 2;
    out->auto_vacuum = number_at(head, 52) == 0 ? 0 : number_at(head, 64) != 0 ? 2 : 1;
}

static void judge_stranger(struct lido__checking *checking,
                           const struct lido__looked *looked)
{
    const unsigned char *head = looked->head;

    if (looked->bytes % 512 == 0 && looked->n_head == DICE_BYTES &&
        (looks_like_dice(head) || (page_size_of(head) != 0 && has_fixed_bytes(head))))
        lido__check_say(checking, LIDO_CHECK_ENCRYPTED,
                        "its first bytes are not SQLite's, the others may be: it is "
                        "encrypted, or its header is damaged");
    else
        lido__check_say(checking, LIDO_CHECK_NOT_SQLITE,
                        "it does not begin as a database of SQLite does");
}

void lido__check_header(struct lido__checking *checking, const struct lido__looked *looked)
{
    struct lido_check *out = &checking->out;
    const unsigned char *head = looked->head;

    if (looked->bytes == 0) {
        lido__check_say(checking, LIDO_CHECK_EMPTY,
                        "the file is empty, which to SQLite is a new database");
        return;
    }
    if (memcmp(head, MAGIC, looked->n_head < MAGIC_SIZE ? looked->n_head : MAGIC_SIZE) !=
        0) {
        judge_stranger(checking, looked);
        return;
    }
    if (looked->n_head < HEADER) {
        lido__check_say(checking, LIDO_CHECK_TRUNCATED,
                        "the file has %lld bytes, and the header alone has 100",
                        (long long)looked->bytes);
        return;
    }
    tell_facts(out, head);
    if (out->page_size == 0)
        lido__check_say(checking, LIDO_CHECK_ENCRYPTED,
                        "the header is damaged: pages of %d bytes (bytes 16 and 17)",
                        head[16] << 8 | head[17]);
    else if (head[19] > 2)
        lido__check_say(checking, LIDO_CHECK_ENCRYPTED,
                        "the header is damaged, or of a later SQLite: it asks for version "
                        "%d to read (byte 19)",
                        head[19]);
    else if (!has_fixed_bytes(head))
        lido__check_say(checking, LIDO_CHECK_ENCRYPTED,
                        "the header is damaged: bytes 21 to 23 are %d, %d, %d and not "
                        "64, 32, 32",
                        head[21], head[22], head[23]);
    else if (out->page_size - head[20] < 480)
        lido__check_say(checking, LIDO_CHECK_ENCRYPTED,
                        "the header is damaged: %d bytes of each page of %lld are reserved "
                        "(byte 20)",
                        head[20], (long long)out->page_size);
    else if (looked->wal_bytes == 0 && out->page_count * out->page_size > looked->bytes)
        lido__check_say(checking, LIDO_CHECK_TRUNCATED,
                        "the header says %lld pages of %lld bytes, and the file has %lld "
                        "bytes",
                        (long long)out->page_count, (long long)out->page_size,
                        (long long)looked->bytes);
    else if (looked->wal_bytes == 0 && looked->bytes < out->page_size)
        lido__check_say(checking, LIDO_CHECK_TRUNCATED,
                        "the file has %lld bytes, less than one page of %lld",
                        (long long)looked->bytes, (long long)out->page_size);
}
