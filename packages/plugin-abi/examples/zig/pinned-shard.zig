//! A Pooler plugin in Zig, from the bare header: a client that calls itself "… shard:2" (application_name) gets shard 2.
//!
//! "pooler plugin check" in this folder builds it and puts it through the contract. By hand:
//!
//!   zig translate-c -lc -I ../../include ../../include/pooler_plugin.h > abi.zig
//!   zig build-lib -dynamic -lc -O ReleaseSafe --dep abi -Mroot=pinned-shard.zig -Mabi=abi.zig -femit-bin=pinned-shard.so
const std = @import("std");
const c = @import("abi");

const mark = "shard:";

const info: c.pooler_plugin_info = .{
    .size = @sizeOf(c.pooler_plugin_info),
    .abi_major = c.POOLER_ABI_MAJOR,
    .abi_minor = c.POOLER_ABI_MINOR,
    .min_host_minor = 0,
    .hooks = c.POOLER_HOOK_ROUTE_QUERY,
    .capabilities = 0,
    .grammar_min = 0,
    .grammar_max = 0,
    .name = "pinned-shard",
    .version = "1.0.0",
    .sdk = "zig",
};

/// There is nothing to keep, but a state must be something.
var nothing: u8 = 0;

export fn pooler_plugin_info_v1() *const c.pooler_plugin_info {
    return &info;
}

export fn pooler_create(in: *const c.pooler_create_input, in_len: u32, out: *c.pooler_output, out_cap: u32, state: *?*anyopaque) c.pooler_status {
    if (!std.mem.eql(u8, text(in, in_len, in.config), "{}")) {
        _ = c.pooler_put_text(out, out_cap, &out.message, "pinned-shard takes no configuration");
        return c.POOLER_FAILED;
    }
    state.* = &nothing;
    return c.POOLER_OK;
}

export fn pooler_destroy(_: ?*anyopaque) void {}

export fn pooler_route_query(_: ?*anyopaque, in: *const c.pooler_input, in_len: u32, out: *c.pooler_output, out_cap: u32) c.pooler_status {
    const session = c.pooler_get_session(in, in_len) orelse return c.POOLER_BAD_INPUT;
    const cluster = c.pooler_get_cluster(in, in_len) orelse return c.POOLER_BAD_INPUT;
    const application = text(in, in_len, session.*.application_name);
    const at = std.mem.find(u8, application, mark) orelse return c.POOLER_SKIP;
    const rest = application[at + mark.len ..];
    const end = std.mem.findNone(u8, rest, "0123456789") orelse rest.len;
    const shard = std.fmt.parseInt(u32, rest[0..end], 10) catch return refuse(out, out_cap);
    if (shard >= cluster.*.shards) return refuse(out, out_cap);
    return c.pooler_forward(out, c.POOLER_ROLE_OPEN, shard);
}

fn refuse(out: *c.pooler_output, out_cap: u32) c.pooler_status {
    return c.pooler_refuse(out, out_cap, "22023", "application_name asks for a shard that is not there", "Say shard:0, or nothing about shards.");
}

/// Empty when it is absent.
fn text(frame: *const anyopaque, length: u32, slice: c.pooler_slice) []const u8 {
    const bytes = c.pooler_get(frame, length, slice);
    return if (bytes.data == null) "" else bytes.data[0..bytes.length];
}
