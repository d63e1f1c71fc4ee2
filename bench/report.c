/* SPDX-License-Identifier: MIT */
/*
 * The results of a benchmark as a table and as JSON.
 *
 * The JSON has Google Benchmark's shape, so that its compare.py reads it, and beside that
 * the spread, the ratios and their targets.
 *
 * Threads: one at a time.
 */
#include "context.h"
#include "report/json.h"
#include "results.h"

#include <string.h>

static void print_times(const struct results *results, FILE *out)
{
    fprintf(out, "%-22s%8s%12s%12s%12s%12s%12s\n", "ns per operation", "threads", "median",
            "least", "quarter", "3 quarters", "most");
    for (unsigned level = 0; level < results->of->n_levels; level++) {
        for (unsigned i = 0; i < results->n_subjects; i++) {
            struct summary real = results_real(results, i, level);

            fprintf(out, "%-22s%8u%12.1f%12.1f%12.1f%12.1f%12.1f\n",
                    results->subjects[i].name, results->of->threads[level], real.median,
                    real.least, real.low, real.high, real.most);
        }
        fputc('\n', out);
    }
}

void results_ratio_titles(FILE *out, const char *title, const char *spread)
{
    fprintf(out, "%-37s%8s%18s  %s\n", title, "median", spread, "target");
}

void results_ratio_line(FILE *out, const char *name, const struct summary *value,
                        bool has_spread, const char *target)
{
    char spread[40] = "";

    if (value == NULL) {
        fprintf(out, "%-37s%8s\n", name, "-");
        return;
    }
    if (has_spread)
        snprintf(spread, sizeof spread, "%.2f - %.2f", value->low, value->high);
    fprintf(out, "%-37s%8.2f%18s%s%s\n", name, value->median, spread,
            target[0] == '\0' ? "" : "  ", target);
}

static void print_ratio(const struct results *results, const struct ratio *ratio, FILE *out)
{
    char target[40] = "";
    struct summary value;

    if (!ratio_has(results, ratio)) {
        results_ratio_line(out, ratio->name, NULL, false, "");
        return;
    }
    value = ratio_value(results, ratio);
    if (ratio->at_most > 0 || ratio->at_least > 0)
        snprintf(target, sizeof target, "%s %g: %s", ratio->at_most > 0 ? "<=" : ">=",
                 ratio->at_most > 0 ? ratio->at_most : ratio->at_least,
                 ratio_is_met(ratio, value.median) ? "met" : "not met");
    results_ratio_line(out, ratio->name, &value, true, target);
}

void results_print(const struct results *results, FILE *out)
{
    context_print(out);
    fprintf(out, "%u rounds; times as each of the threads sees them\n\n",
            results->n_rounds);
    print_times(results, out);
    results_ratio_titles(out, results->of->ratios_title, "middle half");
    for (unsigned i = 0; i < results->of->n_ratios; i++)
        print_ratio(results, &results->of->ratios[i], out);
}

static void write_benchmark(const struct results *results, unsigned subject, unsigned level,
                            struct json *json)
{
    struct summary real = results_real(results, subject, level);
    char run_name[80], name[96];

    snprintf(run_name, sizeof run_name, "%s/%s/threads:%u", results->of->name,
             results->subjects[subject].name, results->of->threads[level]);
    snprintf(name, sizeof name, "%s_median", run_name);
    json_object(json, NULL);
    json_text(json, "name", name);
    json_integer(json, "family_index", subject);
    json_integer(json, "per_family_instance_index", level);
    json_text(json, "run_name", run_name);
    json_text(json, "run_type", "aggregate");
    json_integer(json, "repetitions", results->n_rounds);
    json_integer(json, "threads", results->of->threads[level]);
    json_text(json, "aggregate_name", "median");
    json_text(json, "aggregate_unit", "time");
    json_integer(json, "iterations", (int64_t)results->iterations[subject][level]);
    json_number(json, "real_time", real.median);
    json_number(json, "cpu_time", results_cpu_median(results, subject, level));
    json_text(json, "time_unit", "ns");
    json_number(json, "min", real.least);
    json_number(json, "quartile_1", real.low);
    json_number(json, "quartile_3", real.high);
    json_number(json, "max", real.most);
    json_close(json);
}

static void write_ratios(const struct results *results, struct json *json)
{
    json_object(json, "ratios");
    for (unsigned i = 0; i < results->of->n_ratios; i++) {
        const struct ratio *ratio = &results->of->ratios[i];

        if (ratio_has(results, ratio))
            json_number(json, ratio->name, ratio_value(results, ratio).median);
        else
            json_text(json, ratio->name, NULL);
    }
    json_close(json);
}

static void write_targets(const struct results *results, struct json *json)
{
    json_array(json, "targets");
    for (unsigned i = 0; i < results->of->n_ratios; i++) {
        const struct ratio *ratio = &results->of->ratios[i];

        if (!ratio_has(results, ratio) || (ratio->at_most == 0 && ratio->at_least == 0))
            continue;
        json_object(json, NULL);
        json_text(json, "ratio", ratio->name);
        if (ratio->at_most > 0)
            json_number(json, "at_most", ratio->at_most);
        if (ratio->at_least > 0)
            json_number(json, "at_least", ratio->at_least);
        json_bool(json, "met", ratio_is_met(ratio, ratio_value(results, ratio).median));
        json_close(json);
    }
    json_close(json);
}

void results_json(const struct results *results, FILE *out)
{
    struct json json = { .out = out };

    json_object(&json, NULL);
    json_text(&json, "schema", results->of->schema);
    context_json(&json);
    json_array(&json, "benchmarks");
    for (unsigned subject = 0; subject < results->n_subjects; subject++)
        for (unsigned level = 0; level < results->of->n_levels; level++)
            write_benchmark(results, subject, level, &json);
    json_close(&json);
    write_ratios(results, &json);
    write_targets(results, &json);
    json_close(&json);
}
