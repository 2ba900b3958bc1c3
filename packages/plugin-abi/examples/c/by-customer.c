/*
 * A whole Pooler plugin in C, from the bare header. It shows every verdict:
 *
 *   $1 is a customer number, as text or as a binary bigint     forward to shard number % shards
 *   DROP ...                                                   error
 *   SELECT * FROM orders                                       rewrite: a limit is added
 *   SELECT * FROM my_orders                                    rewrite: with a parameter of its own, the user's name
 *   SHOW shard_map                                             intercept: one row per host, with text, binary and NULL
 *   anything else                                              skip: the next plugin decides
 *
 * cc -std=c11 -O2 -shared -fPIC -fvisibility=hidden -I ../../include by-customer.c -o by-customer.so
 */
#include <stdlib.h>
#include "pooler_plugin.h"

typedef struct state {
  pooler_output *kept; /* an answer that did not fit, until the host fetches it into a larger frame */
} state;

const pooler_plugin_info *pooler_plugin_info_v1(void) {
  static const pooler_plugin_info info = {
      .size = sizeof(pooler_plugin_info), .abi_major = POOLER_ABI_MAJOR, .abi_minor = POOLER_ABI_MINOR,
      .hooks = POOLER_HOOK_ROUTE_QUERY, .name = "by-customer", .version = "1.0.0", .sdk = "c"};
  return &info;
}

pooler_status pooler_create(const pooler_create_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap, void **to) {
  if (!pooler_equals(pooler_get(in, in_len, in->config), "{}")) {
    (void)pooler_put_text(out, out_cap, &out->message, "by-customer takes no configuration");
    return POOLER_FAILED;
  }
  *to = calloc(1, sizeof(state));
  return *to == NULL ? POOLER_FAILED : POOLER_OK;
}

void pooler_destroy(void *self) {
  free(((state *)self)->kept);
  free(self);
}

static int starts_with(pooler_bytes sql, const char *text) {
  size_t length = strlen(text);
  return sql.data != NULL && sql.length >= length && memcmp(sql.data, text, length) == 0;
}

/* A number as drivers send it: digits, or eight bytes with the highest first. 0 when it is neither. */
static int read_number(const pooler_input *in, uint32_t in_len, const pooler_parameter *parameter, uint64_t *number) {
  pooler_bytes bytes = pooler_get(in, in_len, parameter->value);
  if ((parameter->flags & POOLER_PARAMETER_NULL) != 0 || bytes.length == 0 || (parameter->format == 1 && bytes.length != 8)) return 0;
  *number = 0;
  for (uint32_t i = 0; i < bytes.length; i++) {
    if (parameter->format == 0 && (bytes.data[i] < '0' || bytes.data[i] > '9')) return 0;
    *number = parameter->format == 1 ? *number << 8 | bytes.data[i] : *number * 10 + (uint64_t)(bytes.data[i] - '0');
  }
  return 1;
}

/* Space for an array in the answer. */
static void *reserve_array(pooler_output *out, uint32_t out_cap, pooler_array *array, uint32_t count, uint32_t stride) {
  void *elements = pooler_reserve(out, out_cap, count * stride, &array->offset);
  if (elements == NULL) return NULL;
  array->count = count;
  array->stride = stride;
  return memset(elements, 0, (size_t)count * stride);
}

static pooler_status my_orders(const pooler_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap) {
  const pooler_session *session = pooler_get_session(in, in_len);
  if (session == NULL) return POOLER_BAD_INPUT;
  pooler_bytes user = pooler_get(in, in_len, session->user);
  pooler_parameter *name = reserve_array(out, out_cap, &out->parameters, 1, sizeof(pooler_parameter));
  if (name == NULL || !pooler_put_text(out, out_cap, &out->sql, "SELECT * FROM orders WHERE owner = $1") ||
      !pooler_put(out, out_cap, &name->value, user.data, user.length)) return POOLER_FAILED;
  name->type_oid = 25; /* text */
  out->flags |= POOLER_OUT_PARAMETERS;
  return POOLER_REWRITE;
}

/* 0 when the answer does not fit. */
static int put_shard_map(const pooler_input *in, uint32_t in_len, const pooler_cluster *cluster, pooler_output *out, uint32_t out_cap) {
  static const struct { const char *name; uint32_t type; int32_t size; uint32_t format; } shape[] = {
      {"shard", 23, 4, 1}, {"address", 25, -1, 0}, {"lag_ms", 25, -1, 0}};
  pooler_column *columns = reserve_array(out, out_cap, &out->columns, 3, sizeof(pooler_column));
  pooler_value *values = reserve_array(out, out_cap, &out->values, 3 * cluster->hosts.count, sizeof(pooler_value));
  if (columns == NULL || values == NULL) return 0;
  for (int i = 0; i < 3; i++) {
    columns[i].type_oid = shape[i].type;
    columns[i].type_size = shape[i].size;
    columns[i].type_modifier = -1;
    columns[i].format = shape[i].format;
    if (!pooler_put_text(out, out_cap, &columns[i].name, shape[i].name)) return 0;
  }
  for (uint32_t i = 0; i < cluster->hosts.count; i++, values += 3) {
    const pooler_host *host = pooler_element(in, in_len, cluster->hosts, i, sizeof(pooler_host));
    if (host == NULL) return 0;
    pooler_bytes address = pooler_get(in, in_len, host->address);
    uint8_t shard[4] = {(uint8_t)(host->shard >> 24), (uint8_t)(host->shard >> 16), (uint8_t)(host->shard >> 8), (uint8_t)host->shard};
    if (!pooler_put(out, out_cap, &values[0].value, shard, 4)) return 0;
    if (!pooler_put(out, out_cap, &values[1].value, address.data, address.length)) return 0;
    if (host->lag_ms == POOLER_NEVER) values[2].flags = POOLER_VALUE_NULL;
    else if (!pooler_put_text(out, out_cap, &values[2].value, host->lag_ms == 0 ? "none" : "some")) return 0;
  }
  return pooler_put_text(out, out_cap, &out->command_tag, "SHOW");
}

static pooler_status shard_map(state *self, const pooler_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap) {
  const pooler_cluster *cluster = pooler_get_cluster(in, in_len);
  if (cluster == NULL) return POOLER_BAD_INPUT;
  if (put_shard_map(in, in_len, cluster, out, out_cap)) return POOLER_INTERCEPT;
  /* Frames are position-independent: build the answer in our own memory, and let the host fetch a copy of it. */
  uint32_t capacity = 4096 + cluster->hosts.count * 512;
  free(self->kept);
  self->kept = calloc(1, capacity);
  if (self->kept == NULL) return POOLER_FAILED;
  self->kept->size = out->size;
  if (!put_shard_map(in, in_len, cluster, self->kept, capacity)) return POOLER_FAILED;
  out->needed = self->kept->used;
  return POOLER_NEEDS_SPACE;
}

pooler_status pooler_fetch_output(void *self, pooler_output *out, uint32_t out_cap) {
  pooler_output *kept = ((state *)self)->kept;
  if (kept == NULL || kept->used > out_cap) return POOLER_FAILED;
  memcpy(out, kept, kept->used);
  free(kept);
  ((state *)self)->kept = NULL;
  return POOLER_INTERCEPT;
}

pooler_status pooler_route_query(void *self, const pooler_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap) {
  pooler_bytes sql = pooler_get_sql(in, in_len);
  if (starts_with(sql, "DROP ")) return pooler_refuse(out, out_cap, "42501", "nothing is dropped here", "Ask an administrator.");
  if (pooler_equals(sql, "SHOW shard_map")) return shard_map(self, in, in_len, out, out_cap);
  if (pooler_equals(sql, "SELECT * FROM my_orders")) return my_orders(in, in_len, out, out_cap);
  if (pooler_equals(sql, "SELECT * FROM orders"))
    return pooler_put_text(out, out_cap, &out->sql, "SELECT * FROM orders LIMIT 100") ? POOLER_REWRITE : POOLER_FAILED;

  const pooler_parameter *first = pooler_get_parameter(in, in_len, 0);
  const pooler_cluster *cluster = pooler_get_cluster(in, in_len);
  uint64_t customer = 0;
  if (first == NULL || cluster == NULL || !read_number(in, in_len, first, &customer)) return POOLER_SKIP;
  return pooler_forward(out, POOLER_ROLE_OPEN, (uint32_t)(customer % cluster->shards));
}
