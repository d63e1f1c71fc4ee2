/* SPDX-License-Identifier: MIT */
/*
 * Who waited how long: both ways to write side by side, then the writers that waited the
 * longest, less, and the least in each.  As JSON, all of them.
 *
 * Threads: one.
 */
#include "cli/demo.h"

#include "report/json.h"
#include "report/table.h"
#include "report/units.h"

static double per_second(const struct demo_writing *writing)
{
    return writing->elapsed_ns > 0 ? (double)(writing->sum.commits - writing->sum.late) *
                                         1e9 / (double)writing->elapsed_ns
                                   : 0;
}

/* The fewest and the most transactions of one writer. */
static void find_extremes(const struct demo_writing *writing, int n, int64_t *least,
                          int64_t *most)
{
    *least = INT64_MAX;
    *most = 0;
    for (int i = 0; i < n; i++) {
        int64_t ended = writing->writers[i].commits + writing->writers[i].declined;

        *least = ended < *least ? ended : *least;
        *most = ended > *most ? ended : *most;
    }
}

static void print_ways(const struct demo_writers *writers)
{
    static const char *const counts[] = { "connections",
                                          "transactions/s",
                                          "transactions",
                                          "  declined, rolled back",
                                          "  given up (locked)",
                                          "of one writer, the least",
                                          "of one writer, the most" };
    int64_t least[DEMO_WAYS], most[DEMO_WAYS];
    static const struct {
        const char *name;
        double share;
    } quantiles[] = { { "wait p50", 0.5 }, { "wait p99", 0.99 }, { "wait max", 1 } };
    struct table table = { .columns = DEMO_WAYS + 1 };

    table_add(&table, "%d %s of one file", writers->n,
              writers->n == 1 ? "writer" : "writers");
    for (int way = 0; way < DEMO_WAYS; way++)
        table_add(&table, "%s", writers->ways[way].way);
    for (int way = 0; way < DEMO_WAYS; way++)
        find_extremes(&writers->ways[way], writers->n, &least[way], &most[way]);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        table_add(&table, "%s", counts[i]);
        for (int way = 0; way < DEMO_WAYS; way++) {
            const struct demo_writing *writing = &writers->ways[way];
            const int64_t values[] = { writing->connections,
                                       (int64_t)per_second(writing),
                                       writing->sum.commits,
                                       writing->sum.declined,
                                       writing->sum.refused,
                                       least[way],
                                       most[way] };

            table_add(&table, "%s", units_count(values[i]).text);
        }
    }
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        table_add(&table, "%s", quantiles[i].name);
        for (int way = 0; way < DEMO_WAYS; way++)
            table_add(
                &table, "%s",
                units_time(histogram_quantile(writers->ways[way].waits, quantiles[i].share))
                    .text);
    }
    table_print(stdout, &table, "  ");
}

static void print_who(const struct demo_writers *writers)
{
    const int n = writers->n;
    const int shown[] = { 0, 1, n / 4, n / 2, n - 1 };
    struct table table = { .columns = 5 };

    table_add(&table, "who waited");
    table_add(&table, "writer");
    table_add(&table, "longest");
    table_add(&table, "in all");
    table_add(&table, "transactions");
    for (int way = 0; way < DEMO_WAYS; way++) {
        int last = -1;

        for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
            const struct demo_writer *told = &writers->ways[way].writers[shown[i]];

            if (shown[i] <= last || shown[i] >= n)
                continue;
            last = shown[i];
            table_add(&table, "%s, %d of %d", writers->ways[way].way, last + 1, n);
            table_add(&table, "%d", told->number);
            table_add(&table, "%s", units_time(told->longest_ns).text);
            table_add(&table, "%s", units_time(told->waited_ns).text);
            table_add(&table, "%s", units_count(told->commits + told->declined).text);
        }
    }
    table_print(stdout, &table, "  ");
}

void demo_told_text(const struct demo_writers *writers)
{
    const struct lido_gate_stats *busiest = &writers->busiest;

    if (writers->n == 0)
        return;
    print_ways(writers);
    putchar('\n');
    print_who(writers);
    if (busiest->is_held && busiest->shown > 0)
        printf("\n  lido_gate_stats() when the most waited: %s was in,\n  "
               "%lld waited, %s at the head for %s.\n",
               busiest->holder.label, (long long)busiest->waiting,
               busiest->waiters[0].lease.label[0] == '\0' ? "one"
                                                          : busiest->waiters[0].lease.label,
               units_time(busiest->waiters[0].waited_ns).text);
    if (busiest->is_held && busiest->sql[0] != '\0')
        printf("  It ran \"%s\".\n", busiest->sql);
    putchar('\n');
}

static void json_way(struct json *json, const struct demo_writing *writing, int n)
{
    json_object(json, NULL);
    json_text(json, "way", writing->way);
    json_integer(json, "elapsed_ns", writing->elapsed_ns);
    json_integer(json, "connections", writing->connections);
    json_number(json, "transactions_per_s", per_second(writing));
    json_integer(json, "transactions", writing->sum.commits);
    json_integer(json, "declined", writing->sum.declined);
    json_integer(json, "refused", writing->sum.refused);
    json_object(json, "wait_ns");
    json_integer(json, "p50", histogram_quantile(writing->waits, 0.5));
    json_integer(json, "p99", histogram_quantile(writing->waits, 0.99));
    json_integer(json, "max", writing->waits->max);
    json_close(json);
    json_array(json, "threads");
    for (int i = 0; i < n; i++) {
        const struct demo_writer *told = &writing->writers[i];

        json_object(json, NULL);
        json_integer(json, "writer", told->number);
        json_integer(json, "transactions", told->commits);
        json_integer(json, "declined", told->declined);
        json_integer(json, "longest_wait_ns", told->longest_ns);
        json_integer(json, "waited_ns", told->waited_ns);
        json_close(json);
    }
    json_close(json);
    json_close(json);
}

void demo_told_json(struct json *json, const struct demo_writers *writers)
{
    const struct lido_gate_stats *last = &writers->last;

    json_array(json, "writers");
    for (int way = 0; writers->n > 0 && way < DEMO_WAYS; way++)
        json_way(json, &writers->ways[way], writers->n);
    json_close(json);
    json_object(json, "gate");
    json_integer(json, "entered", (int64_t)last->entered);
    json_integer(json, "waited", (int64_t)last->waited);
    json_integer(json, "handed_over", (int64_t)last->handed_over);
    json_integer(json, "max_wait_ns", (int64_t)last->max_wait_ns);
    json_integer(json, "most_waiting", writers->busiest.waiting);
    json_close(json);
}
