// A Pooler plugin in C++17, from the bare header: users whose names end in "_ro" read from replicas and write nowhere.
//
// "pooler plugin check" in this folder builds it and puts it through the contract. By hand:
//
// c++ -std=c++17 -O2 -shared -fPIC -fvisibility=hidden -I ../../include read-only-users.cpp -o read-only-users.so
#include "pooler_plugin.h"
#include <exception>
#include <string>
#include <string_view>

namespace {

struct Plugin {
  std::string suffix = "_ro";

  pooler_status route(const pooler_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap) const;
};

std::string_view text(const void *frame, uint32_t length, pooler_slice slice) {
  const pooler_bytes bytes = pooler_get(frame, length, slice);
  return bytes.data == nullptr ? std::string_view() : std::string_view(reinterpret_cast<const char *>(bytes.data), bytes.length);
}

bool ends_with(std::string_view whole, std::string_view end) {
  return whole.size() >= end.size() && whole.substr(whole.size() - end.size()) == end;
}

pooler_status Plugin::route(const pooler_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap) const {
  const pooler_session *session = pooler_get_session(in, in_len);
  const pooler_statement *statement = pooler_get_statement(in, in_len);
  if (session == nullptr || statement == nullptr) return POOLER_BAD_INPUT;
  const std::string_view user = text(in, in_len, session->user);
  if (!ends_with(user, suffix)) return POOLER_SKIP;
  // What was not parsed may do anything.
  const bool harmless = (statement->facts & POOLER_FACT_PARSED) != 0 &&
                        (statement->facts & (POOLER_FACT_WRITES | POOLER_FACT_LOCKS_ROWS | POOLER_FACT_UNKNOWN_FUNCTION)) == 0;
  if (!harmless) {
    const std::string message = "user \"" + std::string(user) + "\" only reads";
    return pooler_refuse(out, out_cap, "25006", message.c_str(), nullptr);
  }
  return pooler_forward(out, POOLER_ROLE_READ, POOLER_SHARD_OPEN);
}

// Nothing may be thrown out of a hook: what is caught here fails the query, with its text.
template <typename Hook>
pooler_status guarded(pooler_output *out, uint32_t out_cap, Hook &&hook) noexcept {
  try {
    return hook();
  } catch (const std::exception &error) {
    (void)pooler_put_text(out, out_cap, &out->message, error.what());
  } catch (...) {
    (void)pooler_put_text(out, out_cap, &out->message, "an exception of no known type");
  }
  return POOLER_PANICKED;
}

} // namespace

const pooler_plugin_info *pooler_plugin_info_v1(void) {
  static const pooler_plugin_info info = {sizeof(pooler_plugin_info), POOLER_ABI_MAJOR, POOLER_ABI_MINOR, 0,
                                          POOLER_HOOK_ROUTE_QUERY, POOLER_CAP_EVERY_STATEMENT | POOLER_CAP_FACTS, 0, 0,
                                          "read-only-users", "1.0.0", "c++"};
  return &info;
}

pooler_status pooler_create(const pooler_create_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap, void **state) {
  return guarded(out, out_cap, [&]() -> pooler_status {
    if (text(in, in_len, in->config) != "{}") {
      (void)pooler_put_text(out, out_cap, &out->message, "read-only-users takes no configuration");
      return POOLER_FAILED;
    }
    *state = new Plugin();
    return POOLER_OK;
  });
}

void pooler_destroy(void *state) { delete static_cast<Plugin *>(state); }

pooler_status pooler_route_query(void *state, const pooler_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap) {
  return guarded(out, out_cap, [&] { return static_cast<const Plugin *>(state)->route(in, in_len, out, out_cap); });
}
