/* SPDX-License-Identifier: MIT */
/*
 * The results of `lido-bench write` as a table and as JSON.
 *
 * The JSON has the members that those of the other benchmarks have.  Its entries have the
 * latencies beside the times: real_time is that of the window by the transactions in it.
 *
 * Threads: one at a time.
 */
#include "context.h"
#include "results.h"
#include "write.h"

#include "report/table.h"
#include "report/units.h"

#include <math.h>

/* 1 for the reference itself. */
static double median_to_one(const struct write_cell *cell)
{
    double ratios[WRITE_SLICES];

    for (unsigned i = 0; i < cell->slices; i++)
        ratios[i] = cell->per_s[i] / cell->reference_per_s[i];
    return cell->slices == 0 ? 1 : measure_summary(ratios, cell->slices).median;
}

static void print_cell(const struct write_cell *cell, struct table *table)
{
    const struct write_latency latency = write_latency(cell);

    table_add(table, "%s", cell->name);
    if (cell->is_absent) {
        table_add(table, "not in this build");
        for (unsigned i = 2; i < table->columns; i++)
            table_add(table, "%s", "");
        return;
    }
    table_add(table, "%.0f", (double)cell->done / cell->window_s);
    table_add(table, "%.2f", median_to_one(cell));
    table_add(table, "%s", units_time(latency.p50_ns).text);
    table_add(table, "%s", units_time(latency.p99_ns).text);
    table_add(table, "%s", units_time(latency.p999_ns).text);
    table_add(table, "%s", units_time(latency.max_ns).text);
    table_add(table, "%llu-%llu", (unsigned long long)cell->least,
              (unsigned long long)cell->most);
}

static void print_group(const struct write_run *run, unsigned first, unsigned end,
                        FILE *out)
{
    static const char *const titles[] = { "",    "tx/s",  "to one", "p50",
                                          "p99", "p99.9", "max",    "least-most" };
    struct table table = { .columns = sizeof titles / sizeof titles[0] };

    for (unsigned i = 0; i < table.columns; i++)
        table_add(&table, "%s", titles[i]);
    for (unsigned i = first; i < end; i++)
        print_cell(&run->cells[i], &table);
    table_print(out, &table, "");
    fputc('\n', out);
}

static void print_failures(const struct write_run *run, FILE *out)
{
    for (unsigned i = 0; i < run->n_cells; i++)
        if (run->cells[i].failures > 0)
            fprintf(out, "%s: %llu failed, the first by %s: %s\n\n", run->cells[i].name,
                    (unsigned long long)run->cells[i].failures,
                    lido_status_name(run->cells[i].err.code), run->cells[i].err.text);
}

static void print_ratio(const struct write_ratio *ratio, FILE *out)
{
    static const char *const verdicts[] = {
        [WRITE_MET] = "met", [WRITE_NOT_MET] = "not met", [WRITE_UNDECIDED] = "undecided"
    };
    const int has_most = ratio->at_most >= 0;
    char target[64] = "";
    int length;

    if (ratio->verdict != WRITE_NO_TARGET) {
        length =
            snprintf(target, sizeof target, "%s %g: %s",
                     has_most ? "<=" : ">=", has_most ? ratio->at_most : ratio->at_least,
                     verdicts[ratio->verdict]);
        if (ratio->stretch > 0)
            snprintf(target + length, sizeof target - (size_t)length, " (stretch %g)",
                     ratio->stretch);
    }
    results_ratio_line(out, ratio->name, ratio->has_value ? &ratio->value : NULL,
                       ratio->has_spread, target);
}

void write_print(const struct write_run *run, FILE *out)
{
    struct write_ratio ratios[WRITE_RATIOS];
    const unsigned count = write_ratios(run, ratios);
    unsigned first = 0;

    context_print(out);
    fprintf(out,
            "%g s for each, in turns with SQLite's one thread; \"to one\" is throughput "
            "by that thread's\n\n",
            (double)run->window_ns / 1e9);
    for (unsigned i = 1; i <= run->n_cells; i++) {
        if (i < run->n_cells && run->cells[i].group == run->cells[first].group)
            continue;
        print_group(run, first, i, out);
        first = i;
    }
    print_failures(run, out);
    results_ratio_titles(out, "ratios", "spread");
    for (unsigned i = 0; i < count; i++)
        print_ratio(&ratios[i], out);
}

/* --- JSON ----------------------------------------------------------------------------- */

static void write_parts(const struct write_cell *cell, struct json *json)
{
    json_array(json, "p999_of_parts");
    for (unsigned i = 0; i < WRITE_PARTS; i++)
        json_number(json, NULL, write_part_p999(cell, i));
    json_close(json);
}

static void write_cell(const struct write_cell *cell, struct json *json)
{
    const struct write_latency latency = write_latency(cell);
    char run_name[80], name[96];

    snprintf(run_name, sizeof run_name, "write/%s", cell->name);
    snprintf(name, sizeof name, "%s_mean", run_name);
    json_object(json, NULL);
    json_text(json, "name", name);
    json_integer(json, "family_index", cell->group);
    json_text(json, "run_name", run_name);
    json_text(json, "run_type", "aggregate");
    json_integer(json, "repetitions", cell->slices);
    json_integer(json, "threads", cell->threads);
    json_integer(json, "processes", cell->processes);
    json_text(json, "aggregate_name", "mean");
    json_text(json, "aggregate_unit", "time");
    json_integer(json, "iterations", (int64_t)cell->done);
    json_number(json, "real_time", cell->window_s * 1e9 / (double)cell->done);
    json_number(json, "cpu_time", cell->cpu_ns / (double)cell->done_ever);
    json_text(json, "time_unit", "ns");
    json_number(json, "per_second", (double)cell->done / cell->window_s);
    json_number(json, "to_one_thread", median_to_one(cell));
    json_integer(json, "p50", latency.p50_ns);
    json_integer(json, "p99", latency.p99_ns);
    json_integer(json, "p999", latency.p999_ns);
    write_parts(cell, json);
    json_integer(json, "max", latency.max_ns);
    json_integer(json, "least_served", (int64_t)cell->least);
    json_integer(json, "most_served", (int64_t)cell->most);
    json_integer(json, "least_served_process", (int64_t)cell->least_process);
    json_integer(json, "most_served_process", (int64_t)cell->most_process);
    json_integer(json, "failures", (int64_t)cell->failures);
    json_close(json);
}

static void write_spread(const struct write_ratio *ratio, struct json *json)
{
    json_array(json, ratio->name);
    json_number(json, NULL, ratio->value.low);
    json_number(json, NULL, ratio->value.high);
    json_close(json);
}

static void write_target(const struct write_ratio *ratio, struct json *json)
{
    json_object(json, NULL);
    json_text(json, "ratio", ratio->name);
    if (ratio->at_most >= 0)
        json_number(json, "at_most", ratio->at_most);
    else
        json_number(json, "at_least", ratio->at_least);
    if (ratio->stretch > 0)
        json_number(json, "stretch", ratio->stretch);
    if (ratio->verdict == WRITE_UNDECIDED)
        json_text(json, "met", NULL);
    else
        json_bool(json, "met", ratio->verdict == WRITE_MET);
    json_close(json);
}

void write_json(const struct write_run *run, FILE *out)
{
    struct write_ratio ratios[WRITE_RATIOS];
    const unsigned count = write_ratios(run, ratios);
    struct json json = { .out = out };

    json_object(&json, NULL);
    json_text(&json, "schema", "lido.bench.write/1");
    context_json(&json);
    json_number(&json, "window_s", (double)run->window_ns / 1e9);
    json_array(&json, "benchmarks");
    for (unsigned i = 0; i < run->n_cells; i++)
        if (!run->cells[i].is_absent)
            write_cell(&run->cells[i], &json);
    json_close(&json);
    json_array(&json, "kill_holder_ms");
    for (unsigned i = 0; i < run->n_kills; i++)
        json_number(&json, NULL, run->kill_ms[i]);
    json_close(&json);
    json_object(&json, "ratios");
    for (unsigned i = 0; i < count; i++)
        json_number(&json, ratios[i].name,
                    ratios[i].has_value ? ratios[i].value.median : NAN);
    json_close(&json);
    json_object(&json, "spreads");
    for (unsigned i = 0; i < count; i++)
        if (ratios[i].has_spread)
            write_spread(&ratios[i], &json);
    json_close(&json);
    json_array(&json, "targets");
    for (unsigned i = 0; i < count; i++)
        if (ratios[i].verdict != WRITE_NO_TARGET)
            write_target(&ratios[i], &json);
    json_close(&json);
    json_close(&json);
}
