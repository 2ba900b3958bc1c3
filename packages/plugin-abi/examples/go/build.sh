# What "pooler plugin build" runs here. The header's prototypes are left out: cgo writes those of what is exported itself.
set -eu
export CGO_ENABLED=1 CGO_CFLAGS="-O2 -I $POOLER_INCLUDE -DPOOLER_NO_PROTOTYPES"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
go build -buildmode=c-shared -trimpath -ldflags="-s -w" -o "$work/plugin" .
cp "$work/plugin" "$POOLER_OUTPUT"
