/* SPDX-License-Identifier: MIT */
/*
 * The parts of the tool that compute: histogram, progress line, table, units, JSON.
 *
 * Threads: one.
 */
#include "report/histogram.h"
#include "report/json.h"
#include "report/progress.h"
#include "report/table.h"
#include "report/units.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Test(histogram, an_empty_one_answers_zero)
{
    struct histogram histogram = { .count = 0 };

    cr_assert_eq(histogram_quantile(&histogram, 0.5), 0);
    cr_assert_eq(histogram_quantile(&histogram, 1), 0);
}

Test(histogram, small_values_are_exact)
{
    struct histogram histogram = { .count = 0 };

    for (int64_t value = 1; value <= 20; value++)
        histogram_add(&histogram, value);

    cr_assert_eq(histogram.count, 20);
    cr_assert_eq(histogram_quantile(&histogram, 0), 1);
    cr_assert_eq(histogram_quantile(&histogram, 0.5), 10);
    cr_assert_eq(histogram_quantile(&histogram, 0.95), 19);
    cr_assert_eq(histogram_quantile(&histogram, 1), 20);
}

Test(histogram, a_value_is_never_understated_and_at_most_a_32nd_overstated)
{
    static struct histogram histogram;

    for (int64_t value = 1; value < INT64_C(1) << 40; value += value / 7 + 1) {
        int64_t answer;

        memset(&histogram, 0, sizeof histogram);
        histogram_add(&histogram, value);
        histogram_add(&histogram, INT64_C(1) << 41); /* so that the maximum does not help */
        answer = histogram_quantile(&histogram, 0.5);

        cr_assert_geq(answer, value);
        cr_assert_leq(answer - value, value / 32, "%lld came back as %lld",
                      (long long)value, (long long)answer);
    }
}

Test(histogram, the_edges_of_the_range_have_a_place)
{
    static struct histogram histogram;

    histogram_add(&histogram, -5);
    histogram_add(&histogram, INT64_MAX);

    cr_assert_eq(histogram_quantile(&histogram, 0.5), 0);
    cr_assert_eq(histogram_quantile(&histogram, 1), INT64_MAX);
    cr_assert_eq(histogram.max, INT64_MAX);
}

Test(histogram, merging_is_as_if_all_had_been_added_to_one)
{
    static struct histogram one, other, both;

    for (int64_t value = 100; value < 100000; value += 37) {
        histogram_add(value % 2 ? &one : &other, value);
        histogram_add(&both, value);
    }
    histogram_merge(&one, &other);

    cr_assert_eq(memcmp(&one, &both, sizeof one), 0);
}

static const struct progress_state half_way = {
    .title = "queue",
    .fraction = 0.5,
    .done = 12345,
    .noun = "checkouts",
    .per_s = 4120.7,
    .waiting = 3,
    .left_s = 2.4,
};

Test(progress, a_wide_line_has_everything)
{
    char line[800];
    size_t cells = progress_render(line, sizeof line, &half_way, 100, false);

    cr_assert_str_eq(line, "queue  [###############---------------]   50%  12 345 checkouts"
                           "  4 120/s  3 waiting  2 s left");
    cr_assert_eq(cells, strlen(line));
}

Test(progress, no_width_is_overrun_and_no_cell_is_left_to_wrap)
{
    char line[800];

    for (int width = 0; width <= 200; width++) {
        size_t cells = progress_render(line, sizeof line, &half_way, width, true);

        cr_assert(cells == 0 || cells < (size_t)width, "%zu cells of %d", cells, width);
        cr_assert_null(strpbrk(line, "\r\n\033"));
    }
}

Test(progress, a_narrow_line_drops_its_end_first)
{
    char line[800];

    progress_render(line, sizeof line, &half_way, 40, false);

    cr_assert_str_eq(line, "queue  [############------------]   50%", "%s", line);
}

Test(progress, what_is_not_known_is_not_shown)
{
    struct progress_state state = half_way;
    char line[800];

    state.fraction = state.per_s = state.left_s = -1;
    state.waiting = -1;
    progress_render(line, sizeof line, &state, 100, false);

    cr_assert_str_eq(line, "queue  12 345 checkouts");
}

Test(progress, a_fraction_above_one_does_not_overrun_the_bar)
{
    struct progress_state state = {
        .title = "x", .fraction = 7, .done = -1, .per_s = -1, .waiting = -1, .left_s = -1
    };
    char line[800];

    cr_assert_eq(progress_render(line, sizeof line, &state, 200, false), strlen(line));
    cr_assert_not_null(strstr(line, "[##############################]"));
}

Test(progress, a_short_buffer_is_not_overrun)
{
    char line[24];

    memset(line, 'x', sizeof line);
    progress_render(line, 20, &half_way, 100, true);

    cr_assert_lt(strlen(line), 20);
    cr_assert_eq(line[20], 'x');
}

Test(progress, the_rate_follows_the_last_second)
{
    struct progress_rate rate = PROGRESS_RATE_INIT;
    int64_t now_ns = 1;
    double done = 0;

    progress_sample(&rate, done, now_ns);
    cr_assert_lt(rate.per_s, 0, "one sample tells no rate");
    for (int i = 0; i < 10; i++)
        progress_sample(&rate, done += 10, now_ns += 100000000);
    cr_assert_float_eq(rate.per_s, 100, 0.1);
    for (int i = 0; i < 60; i++)
        progress_sample(&rate, done += 100, now_ns += 100000000);

    cr_assert_float_eq(rate.per_s, 1000, 10);
}

Test(table, columns_are_as_wide_as_their_widest_cell)
{
    struct table table = { .columns = 3 };
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    table_add(&table, "pool");
    table_add(&table, "null");
    table_add(&table, "queue");
    table_add(&table, "wait\u00e9d");
    table_add(&table, "%d", 0);
    table_add(&table, "%d", 12345678);
    table_print(out, &table, "> ");
    fclose(out);

    cr_assert_str_eq(text,
                     "> pool     null      queue\n"
                     "> wait\u00e9d      0   12345678\n",
                     "%s", text);
    free(text);
}

Test(table, what_is_too_much_is_left_out)
{
    static struct table table = { .columns = 2 };
    char long_text[3 * TABLE_CELL_BYTES];

    memset(long_text, 'a', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    for (int i = 0; i < TABLE_CELLS + 10; i++)
        table_add(&table, "%s", long_text);

    cr_assert_eq(table.cells, TABLE_CELLS);
    cr_assert_eq(strlen(table.text[TABLE_CELLS - 1]), TABLE_CELL_BYTES - 1);
}

Test(units, three_digits_and_a_unit)
{
    cr_assert_str_eq(units_time(0).text, "0 ns");
    cr_assert_str_eq(units_time(999).text, "999 ns");
    cr_assert_str_eq(units_time(1000).text, "1.00 us");
    cr_assert_str_eq(units_time(12345).text, "12.3 us");
    cr_assert_str_eq(units_time(999600).text, "1.00 ms");
    cr_assert_str_eq(units_time(INT64_C(123000000)).text, "123 ms");
    cr_assert_str_eq(units_time(INT64_C(75000000000)).text, "75.0 s");
    cr_assert_str_eq(units_bytes(4096).text, "4.10 kB");
    cr_assert_str_eq(units_count(0).text, "0");
    cr_assert_str_eq(units_count(999).text, "999");
    cr_assert_str_eq(units_count(-1234567).text, "-1 234 567");
}

Test(json, a_document_nests_and_escapes)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct json json = { .out = out };

    json_object(&json, NULL);
    json_text(&json, "path", "a\"b\\c\n\001\xff\u00e9\xed\xa0\x80z");
    json_text(&json, "none", NULL);
    json_array(&json, "list");
    json_integer(&json, NULL, INT64_MIN);
    json_number(&json, NULL, 0.5);
    json_number(&json, NULL, NAN);
    json_bool(&json, NULL, true);
    json_close(&json);
    json_array(&json, "empty");
    json_close(&json);
    json_close(&json);
    fclose(out);

    cr_assert_str_eq(
        text,
        "{\n  \"path\": \"a\\\"b\\\\c\\n\\u0001\\ufffd\u00e9\\ufffd\\ufffd\\ufffdz\","
        "\n  \"none\": null,\n  \"list\": [\n    -9223372036854775808,\n    0.5,"
        "\n    null,\n    true\n  ],\n  \"empty\": []\n}\n",
        "%s", text);
    free(text);
}
