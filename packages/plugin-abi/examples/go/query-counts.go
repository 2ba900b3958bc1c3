// A Pooler plugin in Go, from the bare header: it counts the statements of each user, and SHOW query_counts says how many.
//
// "pooler plugin check" in this folder builds it and puts it through the contract. By hand:
//
//	CGO_CFLAGS="-I $PWD/../../include -DPOOLER_NO_PROTOTYPES" go build -buildmode=c-shared -o query-counts.so
//
// The Go runtime comes into each worker with its threads and its garbage collector; a call from C into Go costs about as much
// as a short query's parsing. What is asked for every statement is better written in another language.
package main

/*
#include <stdlib.h>
#include "pooler_plugin.h"
*/
import "C"

import (
	"fmt"
	"runtime/cgo"
	"sort"
	"strings"
	"unsafe"
)

type plugin struct {
	counts map[string]uint64
	// An answer that did not fit, until the host fetches it.
	kept []byte
}

// It is static: C keeps the pointer for as long as the library is loaded.
var info = (*C.pooler_plugin_info)(C.calloc(1, C.sizeof_pooler_plugin_info))

func init() {
	info.size = C.sizeof_pooler_plugin_info
	info.abi_major = C.POOLER_ABI_MAJOR
	info.abi_minor = C.POOLER_ABI_MINOR
	info.hooks = C.POOLER_HOOK_ROUTE_QUERY
	info.capabilities = C.POOLER_CAP_EVERY_STATEMENT
	info.name = C.CString("query-counts")
	info.version = C.CString("1.0.0")
	info.sdk = C.CString("go")
}

//export pooler_plugin_info_v1
func pooler_plugin_info_v1() *C.pooler_plugin_info { return info }

//export pooler_create
func pooler_create(in *C.pooler_create_input, inLen C.uint32_t, out *C.pooler_output, outCap C.uint32_t, state *unsafe.Pointer) (status C.pooler_status) {
	defer guard(out, outCap, &status)
	if text(unsafe.Pointer(in), inLen, in.config) != "{}" {
		put(out, outCap, &out.message, "query-counts takes no configuration")
		return C.POOLER_FAILED
	}
	// C may not hold a pointer into Go's memory: it gets memory of its own, with a handle in it.
	place := C.malloc(C.size_t(unsafe.Sizeof(cgo.Handle(0))))
	*(*cgo.Handle)(place) = cgo.NewHandle(&plugin{counts: map[string]uint64{}})
	*state = place
	return C.POOLER_OK
}

//export pooler_destroy
func pooler_destroy(state unsafe.Pointer) {
	(*(*cgo.Handle)(state)).Delete()
	C.free(state)
}

//export pooler_route_query
func pooler_route_query(state unsafe.Pointer, in *C.pooler_input, inLen C.uint32_t, out *C.pooler_output, outCap C.uint32_t) (status C.pooler_status) {
	defer guard(out, outCap, &status)
	self := of(state)
	session := C.pooler_get_session(in, inLen)
	if session == nil {
		return C.POOLER_BAD_INPUT
	}
	if strings.EqualFold(bytesOf(C.pooler_get_sql(in, inLen)), "SHOW query_counts") {
		return self.answer(out, outCap)
	}
	if in.flags&C.POOLER_PREPARE_ONLY == 0 {
		self.counts[text(unsafe.Pointer(in), inLen, session.user)]++
	}
	return C.POOLER_SKIP
}

//export pooler_fetch_output
func pooler_fetch_output(state unsafe.Pointer, out *C.pooler_output, outCap C.uint32_t) (status C.pooler_status) {
	defer guard(out, outCap, &status)
	self := of(state)
	if self.kept == nil || len(self.kept) > int(outCap) {
		return C.POOLER_FAILED
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(out)), outCap), self.kept)
	self.kept = nil
	return C.POOLER_INTERCEPT
}

// Frames are position-independent: what does not fit is built in memory of our own, and the host fetches a copy.
func (self *plugin) answer(out *C.pooler_output, outCap C.uint32_t) C.pooler_status {
	users := make([]string, 0, len(self.counts))
	room := C.uint32_t(4096)
	for user := range self.counts {
		users = append(users, user)
		room += C.uint32_t(len(user)) + 256
	}
	sort.Strings(users)
	if self.put(users, out, outCap) {
		return C.POOLER_INTERCEPT
	}
	memory := C.calloc(1, C.size_t(room))
	defer C.free(memory)
	larger := (*C.pooler_output)(memory)
	larger.size = out.size
	if !self.put(users, larger, room) {
		return C.POOLER_FAILED
	}
	self.kept = C.GoBytes(memory, C.int(larger.used))
	out.needed = larger.used
	return C.POOLER_NEEDS_SPACE
}

func (self *plugin) put(users []string, out *C.pooler_output, outCap C.uint32_t) bool {
	columns := reserve[C.pooler_column](out, outCap, &out.columns, 2)
	values := reserve[C.pooler_value](out, outCap, &out.values, 2*len(users))
	if columns == nil || values == nil {
		return false
	}
	const textOid, bigintOid = 25, 20
	columns[0].type_oid, columns[0].type_size, columns[0].type_modifier = textOid, -1, -1
	columns[1].type_oid, columns[1].type_size, columns[1].type_modifier = bigintOid, 8, -1
	fits := put(out, outCap, &columns[0].name, "user") && put(out, outCap, &columns[1].name, "statements")
	for i, user := range users {
		fits = fits && put(out, outCap, &values[2*i].value, user) && put(out, outCap, &values[2*i+1].value, fmt.Sprint(self.counts[user]))
	}
	return fits && put(out, outCap, &out.command_tag, "SHOW")
}

func reserve[T any](out *C.pooler_output, outCap C.uint32_t, array *C.pooler_array, count int) []T {
	stride := C.uint32_t(unsafe.Sizeof(*new(T)))
	place := C.pooler_reserve(out, outCap, stride*C.uint32_t(count), &array.offset)
	if place == nil {
		return nil
	}
	array.count, array.stride = C.uint32_t(count), stride
	elements := unsafe.Slice((*T)(unsafe.Pointer(place)), count)
	clear(elements)
	return elements
}

func put(out *C.pooler_output, outCap C.uint32_t, slice *C.pooler_slice, value string) bool {
	return C.pooler_put(out, outCap, slice, unsafe.Pointer(unsafe.StringData(value+"\x00")), C.uint32_t(len(value))) != 0
}

func text(frame unsafe.Pointer, length C.uint32_t, slice C.pooler_slice) string {
	return bytesOf(C.pooler_get(frame, length, slice))
}

func bytesOf(bytes C.pooler_bytes) string {
	return C.GoStringN((*C.char)(unsafe.Pointer(bytes.data)), C.int(bytes.length))
}

func of(state unsafe.Pointer) *plugin { return (*(*cgo.Handle)(state)).Value().(*plugin) }

// A panic may not leave a hook: it fails the query.
func guard(out *C.pooler_output, outCap C.uint32_t, status *C.pooler_status) {
	if cause := recover(); cause != nil {
		put(out, outCap, &out.message, fmt.Sprint(cause))
		*status = C.POOLER_PANICKED
	}
}

func main() {}
