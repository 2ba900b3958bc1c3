# What "pooler plugin build" runs here: the header in Zig, then the library. POOLER_ZIG may name another zig.
set -eu
zig="${POOLER_ZIG:-zig}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
$zig translate-c -target "$POOLER_ZIG_TARGET" -lc -I "$POOLER_INCLUDE" "$POOLER_INCLUDE/pooler_plugin.h" > "$work/abi.zig"
$zig build-lib -target "$POOLER_ZIG_TARGET" -dynamic -lc -O ReleaseSafe -fstrip --cache-dir "$work/cache" -femit-bin="$POOLER_OUTPUT" \
  --dep abi -Mroot=pinned-shard.zig -Mabi="$work/abi.zig"
