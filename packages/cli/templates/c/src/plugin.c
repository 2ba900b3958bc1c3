/*
 * Keeps archives read-only: a statement that writes to a table whose name begins with "archive_" is refused, whoever sends it,
 * however it is sent.
 */
#include <stdlib.h>

#include "pooler_plugin.h"

#ifndef PLUGIN_VERSION /* `pooler plugin build` takes it from package.json */
#define PLUGIN_VERSION "0.0.0"
#endif

static const char prefix[] = "archive_";

/* One exists per worker process and entry of the configuration. Nothing is kept in globals. */
typedef struct state {
    uint64_t refused;
} state;

/* INSPECT: asked about every statement, wherever the plugin stands in the chain. FACTS: the host says which tables a statement
 * uses, and how. */
const pooler_plugin_info *pooler_plugin_info_v1(void) {
    static const pooler_plugin_info info = {
        .size = sizeof(pooler_plugin_info),
        .abi_major = POOLER_ABI_MAJOR,
        .abi_minor = POOLER_ABI_MINOR,
        .hooks = POOLER_HOOK_ROUTE_QUERY,
        .capabilities = POOLER_CAP_INSPECT | POOLER_CAP_FACTS,
        .name = "template-plugin-name",
        .version = PLUGIN_VERSION,
        .sdk = "c",
    };
    return &info;
}

pooler_status pooler_create(const pooler_create_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap, void **to) {
    if (!pooler_equals(pooler_get(in, in_len, in->config), "{}")) {
        (void)pooler_put_text(out, out_cap, &out->message, "template-plugin-name takes no configuration");
        return POOLER_FAILED;
    }
    *to = calloc(1, sizeof(state));
    return *to == NULL ? POOLER_FAILED : POOLER_OK;
}

void pooler_destroy(void *self) {
    free(self);
}

static int is_archive(pooler_bytes name) {
    return name.data != NULL && name.length >= sizeof(prefix) - 1 && memcmp(name.data, prefix, sizeof(prefix) - 1) == 0;
}

/* A message with a name of any length in it. */
static pooler_status refuse(pooler_output *out, uint32_t out_cap, pooler_bytes name) {
    static const char before[] = "table \"", after[] = "\" is an archive";
    uint32_t length = (uint32_t)(sizeof(before) - 1) + name.length + (uint32_t)(sizeof(after) - 1);
    uint8_t *message = pooler_reserve(out, out_cap, length, &out->message.offset);
    if (message != NULL) {
        out->message.length = length;
        memcpy(message, before, sizeof(before) - 1);
        memcpy(message + sizeof(before) - 1, name.data, name.length);
        memcpy(message + sizeof(before) - 1 + name.length, after, sizeof(after) - 1);
    }
    (void)pooler_put_text(out, out_cap, &out->sqlstate, "42501");
    (void)pooler_put_text(out, out_cap, &out->hint, "Archives can be read. To change one, go past the pooler.");
    return POOLER_ERROR;
}

pooler_status pooler_route_query(void *self, const pooler_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap) {
    const pooler_statement *statement = pooler_get_statement(in, in_len);
    if (statement == NULL) return POOLER_BAD_INPUT;
    for (uint32_t i = 0; i < statement->tables.count; i++) {
        const pooler_table *table = pooler_element(in, in_len, statement->tables, i, sizeof(pooler_table));
        if (table == NULL) return POOLER_BAD_INPUT;
        pooler_bytes name = pooler_get(in, in_len, table->name);
        if ((table->use & POOLER_TABLE_WRITE) != 0 && is_archive(name)) {
            ((state *)self)->refused++;
            return refuse(out, out_cap, name);
        }
    }
    return POOLER_SKIP;
}
