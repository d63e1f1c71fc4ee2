/* SPDX-License-Identifier: MIT */
/*
 * The report: a table with a column for each kind of pool, and the checks under it; or the
 * same as one JSON document, in nanoseconds and bytes.
 *
 * Threads: one.
 */
#include "cli/demo.h"

#include "report/json.h"
#include "report/table.h"
#include "report/units.h"

static double per_second(uint64_t n, const struct demo_result *result)
{
    return result->elapsed_ns > 0 ? (double)n * 1e9 / (double)result->elapsed_ns : 0;
}

static void print_table(const struct demo_story *story)
{
    static const struct {
        const char *name;
        double share;
    } quantiles[] = { { "p50", 0.5 }, { "p99", 0.99 }, { "max", 1 } };
    static const char *const counts[] = { "checkouts/s",          "checkouts",
                                          "  that waited",        "connections opened",
                                          "transactions",         "  declined, rolled back",
                                          "  tried again (busy)", "rows read" };
    struct table table = { .columns = story->n_results + 1 };

    table_add(&table, "pool");
    for (size_t k = 0; k < story->n_results; k++)
        table_add(&table, "%s", story->results[k].kind);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        table_add(&table, "%s", counts[i]);
        for (size_t k = 0; k < story->n_results; k++) {
            const struct demo_result *r = &story->results[k];
            const int64_t values[] = {
                (int64_t)per_second(r->stats.checkouts, r),
                (int64_t)r->stats.checkouts,
                (int64_t)r->stats.waits,
                (int64_t)r->stats.connects,
                r->transfers,
                r->declined,
                r->retries,
                r->rows,
            };

            table_add(&table, "%s", units_count(values[i]).text);
        }
    }
    for (int is_txn = 0; is_txn < 2; is_txn++) {
        for (size_t i = 0; i < 3; i++) {
            table_add(&table, "%s %s", is_txn ? "transaction" : "checkout",
                      quantiles[i].name);
            for (size_t k = 0; k < story->n_results; k++) {
                const struct demo_result *result = &story->results[k];

                table_add(
                    &table, "%s",
                    units_time(histogram_quantile(is_txn ? result->txn : result->checkout,
                                                  quantiles[i].share))
                        .text);
            }
        }
    }
    table_print(stdout, &table, "  ");
}

void demo_report_text(const struct demo_story *story)
{
    const struct demo_options *options = story->options;
    const struct demo_copy *copy = story->copy;
    size_t failed = 0;

    printf("lido %s with SQLite %s: %d %s on a copy of %s (%s, %zu %s to read)\n\n",
           lido_version(), sqlite3_libversion(), options->threads,
           options->threads == 1 ? "thread" : "threads", story->original->path,
           units_bytes(copy->size).text, copy->n_tables,
           copy->n_tables == 1 ? "table" : "tables");
    print_table(story);
    putchar('\n');
    demo_told_text(story->writers);
    for (size_t i = 0; i < story->checks->n; i++) {
        const struct demo_check *check = &story->checks->list[i];

        printf("  %-6s  %-16s  %s%s%s%s\n", check->holds ? "ok" : "FAILED",
               check->kind == NULL ? "file" : check->kind, check->name,
               check->detail[0] == '\0' ? "" : " (", check->detail,
               check->detail[0] == '\0' ? "" : ")");
        failed += !check->holds;
    }
    if (failed == 0)
        printf("\nAll %zu checks hold.\n", story->checks->n);
    else
        printf("\n%zu of %zu checks FAILED.\n", failed, story->checks->n);
    if (options->keep != NULL)
        printf("The copy is kept as %s, with the tables %s and %s.\n", options->keep,
               copy->accounts, copy->ledger);
}

static void json_times(struct json *json, const char *key,
                       const struct histogram *histogram)
{
    json_object(json, key);
    json_integer(json, "p50", histogram_quantile(histogram, 0.5));
    json_integer(json, "p99", histogram_quantile(histogram, 0.99));
    json_integer(json, "max", histogram->max);
    json_close(json);
}

static void json_result(struct json *json, const struct demo_result *result)
{
    json_object(json, NULL);
    json_text(json, "pool", result->kind);
    json_integer(json, "elapsed_ns", result->elapsed_ns);
    json_number(json, "checkouts_per_s", per_second(result->stats.checkouts, result));
    json_integer(json, "checkouts", (int64_t)result->stats.checkouts);
    json_integer(json, "waits", (int64_t)result->stats.waits);
    json_integer(json, "connects", (int64_t)result->stats.connects);
    json_integer(json, "transactions", result->transfers);
    json_integer(json, "declined", result->declined);
    json_integer(json, "retries", result->retries);
    json_integer(json, "rows", result->rows);
    json_integer(json, "unreadable_rows", result->unreadable);
    json_times(json, "checkout_ns", result->checkout);
    json_times(json, "transaction_ns", result->txn);
    json_close(json);
}

void demo_report_json(const struct demo_story *story)
{
    const struct demo_options *options = story->options;
    struct json json = { .out = stdout };

    json_object(&json, NULL);
    json_text(&json, "schema", "lido-demo/1");
    json_text(&json, "lido", lido_version());
    json_text(&json, "sqlite", sqlite3_libversion());
    json_text(&json, "database", story->original->path);
    json_integer(&json, "size", story->copy->size);
    json_integer(&json, "tables", (int64_t)story->copy->n_tables);
    json_integer(&json, "threads", options->threads);
    json_integer(&json, "seed", (int64_t)options->seed);
    json_text(&json, "kept", options->keep);
    json_array(&json, "pools");
    for (size_t k = 0; k < story->n_results; k++)
        json_result(&json, &story->results[k]);
    json_close(&json);
    demo_told_json(&json, story->writers);
    json_array(&json, "checks");
    for (size_t i = 0; i < story->checks->n; i++) {
        const struct demo_check *check = &story->checks->list[i];

        json_object(&json, NULL);
        json_text(&json, "pool", check->kind);
        json_text(&json, "name", check->name);
        json_bool(&json, "holds", check->holds);
        json_text(&json, "detail", check->detail);
        json_close(&json);
    }
    json_close(&json);
    json_bool(&json, "holds", story->holds);
    json_close(&json);
}

static int code_of(const struct demo_error *error)
{
    if (error->code != LIDO_OK)
        return error->code;
    if (error->answer > CLI_SIGNALLED)
        return LIDO_CANCELLED;
    switch (error->answer) {
    case CLI_BUSY: return SQLITE_BUSY;
    case CLI_NO_DATABASE: return SQLITE_NOTADB;
    default: return SQLITE_ERROR;
    }
}

void demo_report_error(const struct demo_options *options, const struct demo_error *error)
{
    struct json json = { .out = stdout };

    cli_complain("demo: %s", error->text);
    if (!options->is_json || options->is_quiet)
        return;
    json_object(&json, NULL);
    json_text(&json, "schema", "lido-demo/1");
    json_object(&json, "error");
    json_integer(&json, "exit", error->answer);
    json_text(&json, "code", lido_status_name(code_of(error)));
    json_text(&json, "message", error->text);
    json_close(&json);
    json_close(&json);
}
