/* SPDX-License-Identifier: MIT */
/*
 * SHA3-256: what the standard's examples give, and others at the edges of a block.
 */
#include "base/sha3.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const char *hash(const void *bytes, size_t size, size_t part)
{
    static char text[2 * LIDO__SHA3_BYTES + 1];
    unsigned char out[LIDO__SHA3_BYTES];
    struct lido__sha3 sha3 = { { 0 }, 0 };

    for (size_t at = 0; at < size; at += part)
        lido__sha3_add(&sha3, (const char *)bytes + at,
                       size - at < part ? size - at : part);
    lido__sha3_end(&sha3, out);
    for (size_t i = 0; i < sizeof out; i++)
        snprintf(text + 2 * i, 3, "%02x", out[i]);
    return text;
}

Test(sha3, of_little)
{
    cr_expect_str_eq(hash("", 0, 1),
                     "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a");
    cr_expect_str_eq(hash("abc", 3, 1),
                     "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
}

Test(sha3, of_as_many_of_one_byte_whatever_the_parts)
{
    static const struct {
        size_t size;
        const char *hash;
    } known[] = {
        { 135, "d51927265ca4bf0cc8b4453387700918c03f8894e395ad437d4573f3be4d2c34" },
        { 136, "0adf6bfb359ae40019b67d8c49c361574b70242a6b752de6f9e0d426ca177f7a" },
        { 137, "e2fa06eaa22fe60106af67d5f6ea093fe58f07d2dcfb06d51057953f114849a7" },
        { 200, "79f38adec5c20307a98ef76e8324afbfd46cfd81b22e3973c65fa1bd9de31787" },
        { 1000, "137072f2e5c641ea008ed29fc0e34adc170d0b62ae58072a880e2d38500b25ee" },
    };
    static const size_t parts[] = { 1, 7, 136, 1000 };
    unsigned char bytes[1000];

    memset(bytes, 0xa3, sizeof bytes);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        for (size_t part = 0; part < 4; part++)
            cr_expect_str_eq(hash(bytes, known[i].size, parts[part]), known[i].hash, "%zu",
                             known[i].size);
}
