/* SPDX-License-Identifier: MIT */
/*
 * Listing on a terminal without libsmartcols: as elsewhere.
 *
 * Threads: one.
 */
#include "cli/listing.h"

bool listing_print_terminal(FILE *out, const struct listing *listing, bool has_color)
{
    (void)out, (void)listing, (void)has_color;
    return false;
}
